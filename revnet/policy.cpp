#include <retrace/core/fail.h>
#include <retrace/core/names.h>
#include <retrace/revnet/policy.h>

#include <array>

namespace retrace {

namespace {
constexpr std::array<std::string_view, 4> kNames = {"stored", "checkpoint", "reversible", "reversible-masks"};
}

std::string_view name_of(Policy policy) { return kNames[static_cast<std::size_t>(policy)]; }

Policy policy_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Policy>(i);
  fail<ArgumentError>("policy", "the name {}", name_complaint(name, {kNames.begin(), kNames.end()}));
}

}  // namespace retrace
