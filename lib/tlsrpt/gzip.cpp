// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/gzip.h"

#include <zlib.h>

#include <new>

namespace hoplock::tlsrpt {

namespace {
constexpr int gzip_window = 15 + 16;  // zlib: 16 more asks for gzip

Bytef* octets_of(const char* text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text)); }
}  // namespace

std::string gzip(std::string_view octets) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string out(deflateBound(&stream, octets.size()), '\0');
  stream.next_in = octets_of(octets.data());
  stream.avail_in = static_cast<uInt>(octets.size());
  stream.next_out = octets_of(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);  // cannot fail: deflateBound gave enough room
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<std::string> gunzip(std::string_view octets, std::size_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, gzip_window) != Z_OK) throw std::bad_alloc();
  stream.next_in = octets_of(octets.data());
  stream.avail_in = static_cast<uInt>(octets.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK && out.size() <= limit) {
    const std::size_t before = out.size();
    out.resize(before + 65536);
    stream.next_out = octets_of(out.data() + before);
    stream.avail_out = 65536;
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(stream.total_out);
  }
  const bool whole = state == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (out.size() > limit) return bad_input("the compressed text is larger than " + std::to_string(limit) + " octets");
  if (!whole) return bad_input("it is not one whole gzip file");
  return out;
}

}  // namespace hoplock::tlsrpt
