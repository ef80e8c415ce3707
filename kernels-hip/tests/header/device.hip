// The functions of `cases.h` as kernels: `case_0` and so on, in the order in which `names` lists them. Operands and
// results as in `host.cpp`, one thread for each operand tuple.
#include "cases.h"

#define LINE(NAME, EXPRESSION) NAME "\n"
/// Read by the test through the code object's symbol table.
extern "C" __device__ const char names[] = CASES(LINE) DEVICE_CASES(LINE);

#define DEFINE(NAME, EXPRESSION)                                                                       \
    extern "C" __global__ void HIPIFY_CASE(__COUNTER__)(const unsigned *operands, unsigned *results, int count) { \
        const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);                         \
        if (i >= count) return;                                                                        \
        [[maybe_unused]] const unsigned A = operands[i], B = operands[count + i], C = operands[2 * count + i]; \
        [[maybe_unused]] const float F = uint_as_float(operands[3 * count + i]);                       \
        [[maybe_unused]] const float G = uint_as_float(operands[4 * count + i]);                       \
        results[i] = EXPRESSION;                                                                       \
    }
#define HIPIFY_CASE_JOIN(NUMBER) case_##NUMBER
#define HIPIFY_CASE(NUMBER) HIPIFY_CASE_JOIN(NUMBER)

CASES(DEFINE)
DEVICE_CASES(DEFINE)
