#include <cuda_fp16.h>
#include <stdint.h>

// y = a * x + y, and the largest |y| of each warp.
extern "C" __global__ void saxpy_f16(const uint32_t n, const float a, const __half *x, float *y, float *largest) {
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    float magnitude = 0.0f;
    if (i < n) {
        y[i] = a * __half2float(x[i]) + y[i];
        magnitude = fabsf(y[i]);
    }
    for (int offset = 16; offset > 0; offset /= 2) {
        magnitude = fmaxf(magnitude, __shfl_xor_sync(0xffffffff, magnitude, offset, 32));
    }
    if (threadIdx.x % 32 == 0) {
        largest[i / 32] = magnitude;
    }
}
