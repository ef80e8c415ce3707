// A loop of kernels captured into a graph and replayed.
#include "check.h"

__global__ void blur(const float *in, float *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float left = i > 0 ? in[i - 1] : 0, right = i + 1 < n ? in[i + 1] : 0;
    out[i] = 0.25f * left + 0.5f * in[i] + 0.25f * right;
}

int main() {
    const int n = 500, rounds = 3, replays = 4;
    std::vector<float> values(n);
    values[250] = 1024;
    float *a = upload(values), *b = upload(std::vector<float>(n));
    hipStream_t stream;
    HIP(hipStreamCreate(&stream));
    HIP(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal));
    for (int i = 0; i < rounds; i++) {
        blur<<<4, 128, 0, stream>>>(a, b, n);
        HIP(hipMemcpyAsync(a, b, n * sizeof(float), hipMemcpyDeviceToDevice, stream));
    }
    hipGraph_t graph;
    hipGraphExec_t exec;
    HIP(hipStreamEndCapture(stream, &graph));
    size_t nodes = 0;
    HIP(hipGraphGetNodes(graph, nullptr, &nodes));
    equal(nodes, size_t(2 * rounds), "nodes");
    HIP(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
    for (int i = 0; i < replays; i++) HIP(hipGraphLaunch(exec, stream));
    HIP(hipStreamSynchronize(stream));
    for (int i = 0; i < rounds * replays; i++) {
        std::vector<float> next(n);
        for (int k = 0; k < n; k++)
            next[k] = 0.25f * (k > 0 ? values[k - 1] : 0) + 0.5f * values[k] + 0.25f * (k + 1 < n ? values[k + 1] : 0);
        values = next;
    }
    std::vector<float> found = download(a, n);
    for (int i = 0; i < n; i++) near(found[i], values[i], 1e-4, "blurred", i);
    HIP(hipGraphExecDestroy(exec));
    HIP(hipGraphDestroy(graph));
    HIP(hipStreamDestroy(stream));
    std::puts("PASS");
}
