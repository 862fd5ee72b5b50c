// Carries the precompiled header of cmake/asio_pch.h; it has no code of its own.
