// Kernels for the tests of the loader: each shows one kind of argument, bound or resource.
//
// kernels.hipfb is this file for the architectures in its table, built by
//     hipcc --genco --offload-arch=gfx90a --offload-arch=gfx1030 --offload-arch=gfx1100 --offload-arch=gfx1201 \
//         -O3 -std=c++17 kernels.hip -o kernels.hipfb
#include <hip/hip_runtime.h>

extern "C" __device__ int counter = 7;

// A scalar, a pointer to read, a pointer to write, a count.
extern "C" __global__ void saxpy(float a, const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i] + y[i];
}

// y += 1, slowly enough that a missing order between two of them shows.
extern "C" __global__ void increment(unsigned* y, int n, int rounds) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned value = y[i];
    for (int round = 0; round < rounds; ++round) value = __builtin_rotateleft32(value ^ 0x9e3779b9u, 5);
    for (int round = 0; round < rounds; ++round) value = __builtin_rotateright32(value, 5) ^ 0x9e3779b9u;
    y[i] = value + 1;
}

// Dynamic LDS: the sum of a block.
extern "C" __global__ void block_sum(const int* x, int* out) {
    extern __shared__ int partial[];
    partial[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    for (int width = blockDim.x / 2; width > 0; width /= 2) {
        if (threadIdx.x < width) partial[threadIdx.x] += partial[threadIdx.x + width];
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = partial[0];
}

// A launch bound of one wavefront of GFX9.
extern "C" __global__ void __launch_bounds__(64) bounded(int* out) {
    out[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x;
}

// Values of all sizes, and a structure.
struct Pair {
    long long first;
    short second[4];
};

extern "C" __global__ void values(long long* out, signed char a, short b, int c, long long d, float e, double f, Pair g) {
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
    out[4] = (long long)e;
    out[5] = (long long)f;
    out[6] = g.first;
    out[7] = g.second[3];
}

// More arguments than the launch builder keeps on the stack.
#define EIGHT(name) long long name##0, long long name##1, long long name##2, long long name##3, \
                    long long name##4, long long name##5, long long name##6, long long name##7
#define SUM(name) (name##0 + name##1 + name##2 + name##3 + name##4 + name##5 + name##6 + name##7)
extern "C" __global__ void many(long long* out, EIGHT(a), EIGHT(b), EIGHT(c), EIGHT(d), EIGHT(e)) {
    out[0] = SUM(a) + 2 * SUM(b) + 3 * SUM(c) + 4 * SUM(d) + 5 * SUM(e);
}

// Reads a device variable.
extern "C" __global__ void read_counter(int* out) {
    out[0] = counter;
}
