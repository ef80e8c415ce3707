// Computes the functions of `cases.h` on the host. Reads the operands A, B, C, F, G from the standard input, as
// little-endian words, one array after the other, each of as many words as the argument says; writes a line for each
// function: its name and a result in hex for each operand.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cases.h"

int main(int, char **arguments) {
    const size_t count = std::strtoul(arguments[1], nullptr, 10);
    std::vector<unsigned> operands(5 * count);
    if (std::fread(operands.data(), sizeof(unsigned), operands.size(), stdin) != operands.size()) return 1;
#define RUN(NAME, EXPRESSION)                                                                        \
    std::printf("%s", NAME);                                                                         \
    for (size_t i = 0; i < count; ++i) {                                                             \
        [[maybe_unused]] const unsigned A = operands[i], B = operands[count + i], C = operands[2 * count + i]; \
        [[maybe_unused]] const float F = uint_as_float(operands[3 * count + i]);                     \
        [[maybe_unused]] const float G = uint_as_float(operands[4 * count + i]);                     \
        std::printf(" %08x", EXPRESSION);                                                            \
    }                                                                                                \
    std::printf("\n");
    CASES(RUN)
}
