// Variables of the program on the device: constant, plain, managed, and by address.
#include "check.h"

#ifndef __managed__
#define __managed__ __attribute__((managed))
#endif

struct Setting {
    int rows;
    float factors[5];
};

__constant__ Setting setting;
__device__ int counter = 5;
__device__ float table[64];
__managed__ int shared_counter = 100;

__global__ void use(float *out) {
    int i = threadIdx.x;
    out[i] = table[i] * setting.factors[i % 5] + setting.rows;
    atomicAdd(&counter, 1);
    atomicAdd(&shared_counter, 2);
}

int main() {
    Setting host{3, {1, 2, 4, 8, 16}};
    std::vector<float> values(64);
    for (int i = 0; i < 64; i++) values[i] = i * 0.5f;
    HIP(hipMemcpyToSymbol(HIP_SYMBOL(setting), &host, sizeof host));
    HIP(hipMemcpyToSymbol(HIP_SYMBOL(table), values.data(), 32 * sizeof(float)));
    hipStream_t stream;
    HIP(hipStreamCreate(&stream));
    HIP(hipMemcpyToSymbolAsync(HIP_SYMBOL(table), values.data() + 32, 32 * sizeof(float), 32 * sizeof(float),
                               hipMemcpyHostToDevice, stream));
    HIP(hipStreamSynchronize(stream));
    float *out = upload(std::vector<float>(64));
    use<<<1, 64>>>(out);
    LAUNCHED();
    HIP(hipDeviceSynchronize());
    std::vector<float> found = download(out, 64);
    for (int i = 0; i < 64; i++) equal(found[i], values[i] * host.factors[i % 5] + 3, "out", i);
    int count = 0;
    HIP(hipMemcpyFromSymbol(&count, HIP_SYMBOL(counter), sizeof count));
    equal(count, 69, "counter");
    equal(shared_counter, 228, "shared_counter");
    shared_counter = 1;
    use<<<1, 64>>>(out);
    HIP(hipDeviceSynchronize());
    equal(shared_counter, 129, "shared_counter");
    void *address = nullptr;
    size_t size = 0;
    HIP(hipGetSymbolAddress(&address, HIP_SYMBOL(table)));
    HIP(hipGetSymbolSize(&size, HIP_SYMBOL(table)));
    equal(size, 64 * sizeof(float), "size");
    equal(download(static_cast<float *>(address), 64)[63], 31.5f, "table");
    equal(hipMemcpyFromSymbol(&count, HIP_SYMBOL(counter), 8), hipErrorInvalidValue, "too much");
    equal(hipMemcpyFromSymbol(&count, &count, 4), hipErrorInvalidSymbol, "no symbol");
    (void)hipGetLastError();
    HIP(hipStreamDestroy(stream));
    std::puts("PASS");
}
