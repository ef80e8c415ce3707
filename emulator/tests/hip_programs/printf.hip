// printf from a kernel, in order with the program's own.
#include "check.h"

__global__ void hello(int number, double real, unsigned long long wide) {
    for (int turn = 0; turn < int(blockDim.x); turn++)
        if (turn == int(threadIdx.x))
            printf("thread %d of %u: %5d|%-8.3f|%llx|%c|%s|%%\n", turn, unsigned(blockDim.x), number * turn, real / (turn + 1),
                   wide, 'a' + turn, turn % 2 ? "odd" : "even, with a text of more than the seven words that fit into one packet");
}

__global__ void quiet(int *out) {
    if (out == nullptr) printf("never printed\n");
    else *out = printf("counted\n");
}

int main() {
    std::printf("before\n");
    hello<<<1, 4>>>(-7, 2.5, 0x123456789abcull);
    LAUNCHED();
    HIP(hipDeviceSynchronize());
    int *out = upload(std::vector<int>(1));
    quiet<<<1, 1>>>(out);
    LAUNCHED();
    equal(download(out, 1)[0], 8, "characters");
    std::printf("after\n");
    std::puts("PASS");
}
