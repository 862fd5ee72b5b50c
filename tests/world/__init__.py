# SPDX-License-Identifier: Apache-2.0
"""The private world of hoplock's tests and demo; see world.py. Nothing of it knows hoplock's code, only what the outside sees."""
