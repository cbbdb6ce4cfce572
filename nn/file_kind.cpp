#include <retrace/nn/file_kind.h>

#include <array>

namespace retrace::detail {

namespace {

struct Kind {
  std::string_view begin;
  std::string_view text;
};

constexpr std::string_view kPage = "an HTML page, perhaps of a failed download";
constexpr std::array kKinds = {
    Kind{"version ", "a Git LFS pointer; `git lfs pull` fetches the file itself"},
    Kind{"<!DOCTYPE", kPage},
    Kind{"<!doctype", kPage},
    Kind{"<html", kPage},
    Kind{"<HTML", kPage},
    Kind{"<?xml", "an XML document, perhaps of a failed download"},
    Kind{"\x1f\x8b", "gzip-compressed; gunzip unpacks it"},
    Kind{"PK\x03\x04", "a ZIP archive, as torch.save writes it; save it with safetensors.torch.save_file"},
    Kind{"\x80\x02", "a Python pickle; save it with safetensors.torch.save_file"},
    Kind{"\x89HDF", "an HDF5 file"},
};

}  // namespace

std::string looks_like(std::string_view first_bytes) {
  for (const auto& [begin, text] : kKinds)
    if (first_bytes.starts_with(begin)) return "; it looks like " + std::string(text);
  return "";
}

std::string looks_like(std::span<const std::uint8_t> first_bytes) {
  return looks_like(std::string_view(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size()));
}

}  // namespace retrace::detail
