#pragma once
// Internal: not installed.
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

/// The known name that `given` was probably meant to be: the nearest one, if few letters differ. Empty if
/// there is none.
std::string nearest_name(std::string_view given, const std::vector<std::string>& known);

/// What is wrong with a name that is not known: `must be one of sgd, adam, got 'adm' (did you mean 'adam'?)`.
std::string name_complaint(std::string_view given, const std::vector<std::string>& known);

}  // namespace retrace
