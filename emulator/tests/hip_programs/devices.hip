// Every device of the process, each with its own architecture, does the same work; then they exchange the results.
#include "check.h"

__global__ void wave_size(int *out) { *out = warpSize; }

__global__ void square(const int *in, int *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = in[i] * in[i];
}

int main() {
    int count = 0;
    const int n = 1000;
    HIP(hipGetDeviceCount(&count));
    std::vector<int *> results;
    for (int device = 0; device < count; device++) {
        HIP(hipSetDevice(device));
        hipDeviceProp_t properties;
        HIP(hipGetDeviceProperties(&properties, device));
        int *wave = upload(std::vector<int>(1));
        wave_size<<<1, 1>>>(wave);
        LAUNCHED();
        equal(download(wave, 1)[0], properties.warpSize, "wave size", device);
        std::vector<int> values(n);
        for (int i = 0; i < n; i++) values[i] = i + device;
        int *in = upload(values), *out = upload(std::vector<int>(n));
        square<<<(n + 63) / 64, 64>>>(in, out, n);
        LAUNCHED();
        results.push_back(out);
        HIP(hipFree(in));
        HIP(hipFree(wave));
    }
    for (int device = 0; device < count; device++) {
        int other = (device + 1) % count;
        HIP(hipSetDevice(other));
        int *copy = upload(std::vector<int>(n));
        HIP(hipMemcpyPeer(copy, other, results[device], device, n * sizeof(int)));
        std::vector<int> found = download(copy, n);
        for (int i = 0; i < n; i++) equal(found[i], (i + device) * (i + device), "square", i);
    }
    std::printf("%d devices\n", count);
    std::puts("PASS");
}
