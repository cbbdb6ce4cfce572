#include <retrace/autograd/var.h>

#include <ostream>

namespace retrace {

std::string to_string(const Var& x) {
  const std::string text = to_string(x.value());
  if (x.constant()) return text;
  return text + (x.parameter() != nullptr ? ", parameter" : ", on a tape");
}

std::ostream& operator<<(std::ostream& out, const Var& x) { return out << to_string(x); }

}  // namespace retrace
