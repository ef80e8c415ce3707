// Kernels with one defect each, and kernels that look like it and have none. `defects NAME` runs one of them.
#include "../hip_programs/check.h"

#include <cstring>

constexpr int THREADS = 128;

// ---- defects ----

__global__ void past_the_end(float *out) {
    out[threadIdx.x] = 1.0f;
}

__global__ void after_free(const float *in, float *out) {
    out[threadIdx.x] = in[threadIdx.x];
}

__global__ void unwritten_global(const float *in, float *out) {
    out[threadIdx.x] = in[threadIdx.x] * 2.0f;
}

__global__ void unwritten_lds(float *out) {
    __shared__ float tile[THREADS];
    if (threadIdx.x != 5) tile[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x ^ 1] * 2.0f;
}

__global__ void unwritten_scratch(float *out, int n) {
    volatile float own[64];
    for (int i = 0; i < n; i++) own[i] = i;
    out[threadIdx.x] = own[n + threadIdx.x % 4] * 2.0f;
}

__global__ void lds_past_the_end(float *out, int far) {
    __shared__ float tile[32];
    tile[threadIdx.x % 32] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x + far];
}

__global__ void odd_address(char *bytes) {
    *reinterpret_cast<int *>(bytes + 4 * threadIdx.x + 1) = threadIdx.x;
}

__global__ void misaligned_atomic(char *bytes) {
    atomicAdd(reinterpret_cast<int *>(bytes + 2), 1);
}

__global__ void race_between_blocks(int *out) {
    out[threadIdx.x] = blockIdx.x;
}

__global__ void race_read_between_blocks(int *data) {
    int other = data[(blockIdx.x ^ 1) * blockDim.x + threadIdx.x];
    data[blockIdx.x * blockDim.x + threadIdx.x] = other + 1;
}

__global__ void race_in_lds(float *out) {
    __shared__ float tile[THREADS];
    tile[threadIdx.x] = threadIdx.x;
    out[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
}

__global__ void race_with_lds_atomic(int *out) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    atomicAdd(&sum, 1);
    out[threadIdx.x] = sum;
}

__global__ void race_in_global_within_block(int *data) {
    data[threadIdx.x] = threadIdx.x + 1;
    __threadfence();
    data[THREADS + threadIdx.x] = data[THREADS - 1 - threadIdx.x];
}

__global__ void ended_before_barrier(float *out) {
    __shared__ float tile[THREADS];
    tile[threadIdx.x] = 1.0f;
    if (threadIdx.x >= 64) return;
    __syncthreads();  // half of the waves
    out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void different_barriers(float *out, int n) {
    __shared__ float tile[THREADS];
    tile[threadIdx.x] = 1.0f;
    if (threadIdx.x < n) {
        __syncthreads();  // the first waves
        out[threadIdx.x] = tile[threadIdx.x ^ 1];
    } else {
        out[threadIdx.x] = 2.0f;
        __syncthreads();
        out[threadIdx.x] += tile[threadIdx.x ^ 1];
    }
}

// ---- no defects ----

__global__ void clean_reduction(const float *in, float *out) {
    __shared__ float tile[THREADS];
    tile[threadIdx.x] = in[blockIdx.x * THREADS + threadIdx.x];
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];
    }
    if (threadIdx.x == 0) out[blockIdx.x] = tile[0];
}

// The last steps within one wave, without barriers.
__global__ void clean_within_wave(const float *in, float *out) {
    __shared__ volatile float tile[THREADS];
    tile[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    if (threadIdx.x < 32) {
        for (int half = 16; half > 0; half /= 2)
            if (threadIdx.x < half) tile[threadIdx.x] = tile[threadIdx.x] + tile[threadIdx.x + half];
    }
    if (threadIdx.x == 0) out[0] = tile[0];
}

__global__ void clean_atomics(int *sums) {
    __shared__ int bins[8];
    if (threadIdx.x < 8) bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&bins[threadIdx.x % 8], 1);
    __syncthreads();
    if (threadIdx.x < 8) atomicAdd(&sums[threadIdx.x], bins[threadIdx.x]);
}

// The block that is last adds what all have written.
__global__ void clean_last_block(int *parts, unsigned *done, int *out) {
    __shared__ bool last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = blockIdx.x + 1;
        __threadfence();
        last = atomicAdd(done, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        __threadfence();
        int sum = 0;
        for (unsigned i = 0; i < gridDim.x; i++) sum += parts[i];
        *out = sum;
    }
}

__global__ void clean_same_value(int *flag) {
    *flag = 1;
}

struct Padded {
    double a;
    int b;
};

__global__ void fill_padded(Padded *out) {
    out[threadIdx.x].a = threadIdx.x;
    out[threadIdx.x].b = threadIdx.x;
}

__global__ void clean_padded_copy(const Padded *in, Padded *out) {
    out[threadIdx.x] = in[threadIdx.x];
}

// Rows behind the end are never loaded; what is computed from them is never stored.
__global__ void clean_partial_tile(const float *in, float *out, int rows) {
    __shared__ float tile[THREADS][5];
    int row = threadIdx.x < rows ? threadIdx.x : rows - 1;
    for (int i = 0; i < 4; i++) tile[row][i] = in[4 * row + i];
    __syncthreads();
    float sum = 0.0f;
    for (int i = 0; i < 4; i++) sum += tile[threadIdx.x][i] * 3.0f;
    if (threadIdx.x < rows) out[threadIdx.x] = sum;
}

__global__ void clean_bytes(const unsigned char *in, unsigned char *out) {
    out[blockIdx.x * THREADS + threadIdx.x] = in[blockIdx.x * THREADS + threadIdx.x] + in[blockIdx.x];
}

template <class T> T *device(size_t count, bool written) {
    T *pointer = nullptr;
    HIP(hipMalloc(&pointer, count * sizeof(T)));
    if (written) HIP(hipMemset(pointer, 0, count * sizeof(T)));
    return pointer;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    auto is = [&](const char *wanted) { return std::strcmp(name, wanted) == 0; };
    float *in = device<float>(2 * THREADS, true), *out = device<float>(2 * THREADS, true);
    int *ints = device<int>(2 * THREADS, true);
    if (is("past_the_end")) past_the_end<<<1, THREADS>>>(device<float>(100, true));
    else if (is("after_free")) {
        float *gone = device<float>(THREADS, true);
        HIP(hipFree(gone));
        after_free<<<1, THREADS>>>(gone, out);
    } else if (is("unwritten_global")) {
        float *part = device<float>(THREADS, false);
        HIP(hipMemcpy(part, in, 100 * sizeof(float), hipMemcpyDeviceToDevice));
        unwritten_global<<<1, THREADS>>>(part, out);
    } else if (is("unwritten_lds")) unwritten_lds<<<1, THREADS>>>(out);
    else if (is("unwritten_scratch")) unwritten_scratch<<<1, THREADS>>>(out, 8);
    else if (is("lds_past_the_end")) lds_past_the_end<<<1, 32>>>(out, 1 << 14);
    else if (is("odd_address")) odd_address<<<1, 16>>>(device<char>(128, true));
    else if (is("misaligned_atomic")) misaligned_atomic<<<1, 1>>>(device<char>(128, true));
    else if (is("race_between_blocks")) race_between_blocks<<<2, THREADS>>>(ints);
    else if (is("race_read_between_blocks")) race_read_between_blocks<<<2, THREADS>>>(ints);
    else if (is("race_in_lds")) race_in_lds<<<1, THREADS>>>(out);
    else if (is("race_with_lds_atomic")) race_with_lds_atomic<<<1, THREADS>>>(ints);
    else if (is("race_in_global_within_block")) race_in_global_within_block<<<1, THREADS>>>(ints);
    else if (is("ended_before_barrier")) ended_before_barrier<<<1, THREADS>>>(out);
    else if (is("different_barriers")) different_barriers<<<1, THREADS>>>(out, 64);
    else if (is("clean")) {
        clean_reduction<<<2, THREADS>>>(in, out);
        clean_within_wave<<<1, THREADS>>>(in, out);
        clean_atomics<<<4, THREADS>>>(ints);
        clean_last_block<<<8, THREADS>>>(device<int>(8, false), device<unsigned>(1, true), ints);
        clean_same_value<<<4, THREADS>>>(device<int>(1, false));
        Padded *padded = device<Padded>(THREADS, false);
        fill_padded<<<1, THREADS>>>(padded);
        clean_padded_copy<<<1, THREADS>>>(padded, device<Padded>(THREADS, false));
        clean_partial_tile<<<1, THREADS>>>(in, device<float>(50, false), 50);
        clean_bytes<<<2, THREADS>>>(device<unsigned char>(2 * THREADS, true), device<unsigned char>(2 * THREADS, false));
    } else {
        std::fprintf(stderr, "no kernel %s\n", name);
        return 2;
    }
    hipError_t status = hipGetLastError();
    if (status == hipSuccess) status = hipDeviceSynchronize();
    std::printf("%s\n", hipGetErrorName(status));
}
