// Two streams that wait for each other's events, with pinned memory, callbacks and timing.
#include "check.h"

__global__ void scale(float *values, float factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) values[i] *= factor;
}

__global__ void add(float *a, const float *b, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) a[i] += b[i];
}

static int finished = 0;

int main() {
    const int n = 4096;
    float *host = nullptr, *a = nullptr, *b = nullptr;
    HIP(hipHostMalloc(&host, n * sizeof(float), hipHostMallocDefault));
    for (int i = 0; i < n; i++) host[i] = i;
    hipStream_t first, second;
    HIP(hipStreamCreate(&first));
    HIP(hipStreamCreateWithFlags(&second, hipStreamNonBlocking));
    hipEvent_t start, copied, scaled, stop;
    for (hipEvent_t *event : {&start, &copied, &scaled, &stop}) HIP(hipEventCreate(event));
    HIP(hipMallocAsync(&a, n * sizeof(float), first));
    HIP(hipMallocAsync(&b, n * sizeof(float), first));
    HIP(hipEventRecord(start, first));
    HIP(hipMemcpyAsync(a, host, n * sizeof(float), hipMemcpyHostToDevice, first));
    HIP(hipMemcpyAsync(b, host, n * sizeof(float), hipMemcpyHostToDevice, first));
    HIP(hipEventRecord(copied, first));
    HIP(hipStreamWaitEvent(second, copied, 0));
    scale<<<n / 128, 128, 0, second>>>(b, 10.0f, n);
    LAUNCHED();
    HIP(hipEventRecord(scaled, second));
    scale<<<n / 256, 256, 0, first>>>(a, 2.0f, n);
    HIP(hipStreamWaitEvent(first, scaled, 0));
    add<<<n / 64, 64, 0, first>>>(a, b, n);
    LAUNCHED();
    HIP(hipMemcpyAsync(host, a, n * sizeof(float), hipMemcpyDeviceToHost, first));
    HIP(hipStreamAddCallback(first, [](hipStream_t, hipError_t status, void *data) {
        if (status == hipSuccess) *static_cast<int *>(data) = 1;
    }, &finished, 0));
    HIP(hipEventRecord(stop, first));
    HIP(hipEventSynchronize(stop));
    HIP(hipStreamSynchronize(first));
    HIP(hipStreamQuery(second));
    equal(finished, 1, "finished");
    for (int i = 0; i < n; i++) equal(host[i], 12.0f * i, "host", i);
    float ms = -1;
    HIP(hipEventElapsedTime(&ms, start, stop));
    if (!(ms > 0)) equal(ms, 1.0f, "elapsed time");
    HIP(hipFreeAsync(a, first));
    HIP(hipFreeAsync(b, first));
    for (hipEvent_t event : {start, copied, scaled, stop}) HIP(hipEventDestroy(event));
    HIP(hipStreamDestroy(first));
    HIP(hipStreamDestroy(second));
    HIP(hipHostFree(host));
    std::puts("PASS");
}
