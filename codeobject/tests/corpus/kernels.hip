
#include <hip/hip_runtime.h>

struct Params { float scale; int count; char tag; };

__constant__ float table[16] = {1, 2, 3};
__device__ int counter;
__device__ int *pointer_to_counter = &counter;

extern "C" __global__ void scale(float *__restrict__ out, const float *in, Params params) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < params.count) out[i] = in[i] * params.scale + table[i & 15];
}

extern "C" __global__ void __launch_bounds__(256) reduce(float *out, const float *in, unsigned long long n, short k) {
    __shared__ float partial[256];
    extern __shared__ float more[];
    unsigned t = threadIdx.x;
    partial[t] = t < n ? in[blockIdx.y * n + t] : 0;
    more[t] = partial[t] * k;
    __syncthreads();
    for (unsigned s = blockDim.x / 2; s > 0; s >>= 1) {
        if (t < s) partial[t] += partial[t + s];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.y] = partial[0] + more[1];
}

template <int N> __global__ void scratch(int *out, const int *index) {
    volatile int local[N];
    for (int i = 0; i < N; ++i) local[i] = index[i];
    out[threadIdx.x] = local[index[threadIdx.x] % N];
    atomicAdd(pointer_to_counter, 1);
}
template __global__ void scratch<64>(int *, const int *);
