// A transposition through LDS whose size the launch gives, and a sort in LDS.
#include "check.h"

__global__ void transpose(const double *in, double *out, int width, int height) {
    extern __shared__ double tile[];
    const int side = blockDim.x, row = side + 1;
    int x = blockIdx.x * side + threadIdx.x, y = blockIdx.y * side + threadIdx.y;
    if (x < width && y < height) tile[threadIdx.y * row + threadIdx.x] = in[y * width + x];
    __syncthreads();
    x = blockIdx.y * side + threadIdx.x, y = blockIdx.x * side + threadIdx.y;
    if (x < height && y < width) out[y * height + x] = tile[threadIdx.x * row + threadIdx.y];
}

__global__ void bitonic_sort(unsigned *values) {
    extern __shared__ unsigned shared[];
    int i = threadIdx.x, n = blockDim.x;
    shared[i] = values[blockIdx.x * n + i];
    for (int size = 2; size <= n; size *= 2) {
        for (int step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            int other = i ^ step;
            if (other > i) {
                unsigned a = shared[i], b = shared[other];
                if ((a > b) == ((i & size) == 0)) shared[i] = b, shared[other] = a;
            }
        }
    }
    __syncthreads();
    values[blockIdx.x * n + i] = shared[i];
}

int main() {
    const int width = 70, height = 45;
    std::vector<double> in(width * height);
    for (size_t i = 0; i < in.size(); i++) in[i] = 1.0 / (i + 1);
    double *din = upload(in), *dout = upload(std::vector<double>(in.size()));
    for (int side : {8, 16}) {
        dim3 block(side, side), grid((width + side - 1) / side, (height + side - 1) / side);
        HIP(hipMemset(dout, 0, in.size() * sizeof(double)));
        transpose<<<grid, block, side * (side + 1) * sizeof(double)>>>(din, dout, width, height);
        LAUNCHED();
        std::vector<double> out = download(dout, in.size());
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) equal(out[x * height + y], in[y * width + x], "out", x * height + y);
    }
    const int n = 256, blocks = 3;
    Random random;
    std::vector<unsigned> values(n * blocks);
    for (auto &value : values) value = random();
    unsigned *dvalues = upload(values);
    hipLaunchKernelGGL(bitonic_sort, dim3(blocks), dim3(n), n * sizeof(unsigned), 0, dvalues);
    LAUNCHED();
    std::vector<unsigned> sorted = download(dvalues, values.size());
    unsigned long long before = 0, after = 0;
    for (size_t i = 0; i < values.size(); i++) {
        if (i % n && sorted[i - 1] > sorted[i]) equal(sorted[i - 1], sorted[i], "sorted", i);
        before += values[i], after += sorted[i];
    }
    equal(after, before, "total");
    std::puts("PASS");
}
