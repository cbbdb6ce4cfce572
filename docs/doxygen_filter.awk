# Takes out of a header what the reference does not list: deleted functions, and destructors without a comment of their
# own. Lines keep their numbers.
/= delete;$/ { $0 = "" }
/^ *(virtual )?~[A-Za-z0-9]+\(\)( = default)?;$/ && before !~ /\/\/\// { $0 = "" }
{ print; before = $0 }
