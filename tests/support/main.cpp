#include "run.h"

int main(int argc, char** argv) { return retrace::test::run_cases(argc, argv); }
