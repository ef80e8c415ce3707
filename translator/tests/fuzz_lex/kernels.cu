// Kernels that compute little and use much of the language.
#include <cuda_fp16.h>
#include <cstdint>
#include "common.cuh"

#define BLOCK 256
#define MAX2(a, b) \
    ((a) > (b) ? (a) : (b))
#define NAME(x, y) x##_##y
#define TEXT(x) #x

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800 && !(CUDART_VERSION < 11000)
#  include <cuda_bf16.h>
#  define HAS_BF16 1
#elif __CUDA_ARCH__ >= 610 || defined(SOMETHING)
#  define HAS_BF16 0
#else
#  error "don't"
#endif

static constexpr const char *raw = R"x(a "quoted" )" \
text)x";
/* a comment with "quotes' and // another */

template <typename T, int N = 4> struct alignas(16) Vec { T v[N]; };

namespace detail {
__device__ __forceinline__ int dot(int a, int b, int c) { return __dp4a(a, b, c); }
}  // namespace detail

template <typename T>
__device__ T warp_sum(T x) {
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1) x += __shfl_xor_sync(0xffffffffu, x, mask, 32);
    return x;
}

extern "C" __global__ void __launch_bounds__(BLOCK) sums(const uint32_t n, const float *__restrict__ x, float *y) {
    __shared__ float part[BLOCK / 32];
    extern __shared__ unsigned char more[];
    float sum = 0.5e-3f + 0x1p-3f + .5f + 1'000;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum = fmaf(x[i], x[i], sum);
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = sum;
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(y, part[0] + __int_as_float(__float_as_int(part[1])));
}

extern "C" __global__ void halves(const __half2 *a, __half2 *b, int *c) {
    b[threadIdx.x] = __hfma2(a[threadIdx.x], a[0], __float2half2_rn(1.0f));
    c[0] = detail::dot(c[1], __ldg(c + 2), c[3]) + __popc(c[4]) + __clz(c[5]);
    asm volatile("mov.u32 %0, %1;" : "=r"(c[6]) : "r"(c[7]));
}

static void launch(float *x) {
    sums<<<dim3(1, 1), BLOCK, 0, nullptr>>>(1, x, x);
    cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess) { printf(TEXT(failed) ": %s\n", cudaGetErrorString(error)); }
}
