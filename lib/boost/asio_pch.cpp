// SPDX-License-Identifier: Apache-2.0
// Carries the precompiled header of asio_pch.h; it has no code of its own.
