// A HIP runtime without a device behind it, for the tests of the loader.
//
// Device memory is host memory, streams run at once, kernels do nothing. What it does is count: every object that is
// alive, every call, and it fails the call that a test asks for. Compiled by the tests with the C compiler; -D options
// choose what the library is like:
//
//   STUB_ARCH="gfx1100"   architecture of its devices
//   STUB_DEVICES=1        number of devices
//   STUB_VERSION=60443484 what hipRuntimeGetVersion answers
//   STUB_R0600            device properties in the layout of HIP 6, and no function for the older one
//   STUB_BARE             only the functions that every HIP has: no pools, graphs, host functions, peers, occupancy
//   STUB_SILENT           calls are neither counted nor made to fail: they return at once, for measurements
//   STUB_WITHOUT_LAUNCH   without hipModuleLaunchKernel, which is no HIP at all
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef STUB_ARCH
#define STUB_ARCH "gfx1100"
#endif
#ifndef STUB_DEVICES
#define STUB_DEVICES 1
#endif
#ifndef STUB_VERSION
#define STUB_VERSION 50731921
#endif

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_HANDLE = 400, NOT_FOUND = 500 };

// What is alive, by kind: device memory, pinned memory, streams, events, modules, graphs, graph executables.
enum kind { MEMORY, PINNED, STREAM, EVENT, MODULE, GRAPH, EXEC, KINDS };
static atomic_long alive[KINDS];
static atomic_long calls, allocations, launches, fail_at, fail_code = OUT_OF_MEMORY;
static atomic_long fail_always_from;
static _Thread_local int current;
static _Thread_local const char *last_failed = "";

long stub_alive(int kind) { return alive[kind]; }
long stub_calls(void) { return calls; }
long stub_allocations(void) { return allocations; }
long stub_launches(void) { return launches; }
const char *stub_last_failed(void) { return last_failed; }
// The `nth` call from now fails, counting from 1; 0 for none.
void stub_fail(long nth, int code) {
    fail_code = code;
    fail_at = nth ? calls + nth : 0;
}
// From the `nth` call on every call fails; 0 for none.
void stub_fail_from(long nth, int code) {
    fail_code = code;
    fail_always_from = nth ? calls + nth : 0;
}

static int enter(const char *name) {
    long call = ++calls;
    if (call == fail_at || (fail_always_from && call >= fail_always_from)) {
        last_failed = name;
        return (int)fail_code;
    }
    return OK;
}
#ifdef STUB_SILENT
#define ENTER (void)enter
#else
#define ENTER \
    do { \
        int failed = enter(__func__); \
        if (failed) return failed; \
    } while (0)
#endif

typedef struct object {
    enum kind kind;
    int capturing;
    char payload[];
} object;

static void *make(enum kind kind, size_t bytes) {
    object *made = malloc(sizeof(object) + bytes + 64);
    if (!made) return NULL;
    made->kind = kind;
    made->capturing = 0;
    ++alive[kind];
    return made;
}

static int end(void *handle, enum kind kind) {
    object *ended = handle;
    if (!ended || ended->kind != kind) return INVALID_HANDLE;
    ended->kind = KINDS;
    --alive[kind];
    free(ended);
    return OK;
}

// Memory starts 64 bytes behind its object, so that it is aligned.
static int take(void **out, size_t bytes, enum kind kind) {
    if (!out) return INVALID_VALUE;
    if (bytes > (size_t)1 << 34) return OUT_OF_MEMORY;
    ++allocations;
    char *made = make(kind, bytes);
    if (!made) return OUT_OF_MEMORY;
    memset(made + 64, 0xA5, bytes);
    *out = made + 64;
    return OK;
}
static int give(void *memory, enum kind kind) { return memory ? end((char *)memory - 64, kind) : OK; }

int hipInit(unsigned flags) { ENTER; return flags ? INVALID_VALUE : OK; }
int hipRuntimeGetVersion(int *version) { ENTER; *version = STUB_VERSION; return OK; }
int hipDriverGetVersion(int *version) { ENTER; *version = STUB_VERSION; return OK; }
const char *hipGetErrorName(int code) {
    switch (code) {
    case OUT_OF_MEMORY: return "hipErrorOutOfMemory";
    case INVALID_VALUE: return "hipErrorInvalidValue";
    case 719: return "hipErrorLaunchFailure";
    case 12345: return NULL;
    default: return "hipErrorStub";
    }
}
const char *hipGetErrorString(int code) { return code == 12345 ? NULL : "the stub was asked to fail"; }

int hipGetDeviceCount(int *count) { ENTER; *count = STUB_DEVICES; return STUB_DEVICES ? OK : 100; }
int hipGetDevice(int *device) { ENTER; *device = current; return OK; }
int hipSetDevice(int device) {
    ENTER;
    if (device < 0 || device >= STUB_DEVICES) return INVALID_DEVICE;
    current = device;
    return OK;
}
int hipDeviceGetAttribute(int *value, int attribute, int device) {
    ENTER;
    (void)device;
    switch (attribute) {
    case 26: case 27: case 28: case 56: *value = 1024; return OK;
    case 29: *value = 2147483647; return OK;
    case 30: case 31: *value = 65536; return OK;
    case 63: *value = 8; return OK;
    case 74: *value = 65536; return OK;
    case 87: *value = STUB_ARCH[3] == '9' ? 64 : 32; return OK;
#ifndef STUB_BARE
    case 88: *value = 1; return OK;
#endif
    default: return INVALID_VALUE;
    }
}
int hipDeviceGetName(char *name, int len, int device) { ENTER; (void)device; strncpy(name, "Stub", len); return OK; }
int hipDeviceTotalMem(size_t *bytes, int device) { ENTER; (void)device; *bytes = (size_t)1 << 34; return OK; }
int hipDeviceSynchronize(void) { ENTER; return OK; }
int hipMemGetInfo(size_t *free_bytes, size_t *total) {
    ENTER;
    *free_bytes = (size_t)1 << 33;
    *total = (size_t)1 << 34;
    return OK;
}

#ifdef STUB_R0600
enum { NAME_OFFSET = 1160, PROPERTY_SIZE = 1472 };
int hipGetDevicePropertiesR0600(char *properties, int device) {
#else
enum { NAME_OFFSET = 396, PROPERTY_SIZE = 792 };
int hipGetDeviceProperties(char *properties, int device) {
#endif
    ENTER;
    (void)device;
    memset(properties, 0x55, PROPERTY_SIZE);
    strcpy(properties + NAME_OFFSET, STUB_ARCH);
    return OK;
}

int hipMalloc(void **out, size_t bytes) { ENTER; return take(out, bytes, MEMORY); }
int hipFree(void *memory) { ENTER; return give(memory, MEMORY); }
int hipHostMalloc(void **out, size_t bytes, unsigned flags) { ENTER; (void)flags; return take(out, bytes, PINNED); }
int hipHostFree(void *memory) { ENTER; return give(memory, PINNED); }
int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
    ENTER;
    (void)kind; (void)stream;
    memcpy(to, from, bytes);
    return OK;
}
int hipMemsetAsync(void *to, int value, size_t bytes, void *stream) {
    ENTER;
    (void)stream;
    memset(to, value, bytes);
    return OK;
}

static int make_handle(void **out, enum kind kind) {
    *out = make(kind, 0);
    return *out ? OK : OUT_OF_MEMORY;
}
int hipStreamCreateWithFlags(void **stream, unsigned flags) { ENTER; (void)flags; return make_handle(stream, STREAM); }
int hipStreamDestroy(void *stream) { ENTER; return end(stream, STREAM); }
int hipStreamSynchronize(void *stream) { ENTER; (void)stream; return OK; }
int hipStreamQuery(void *stream) { ENTER; (void)stream; return OK; }
int hipStreamWaitEvent(void *stream, void *event, unsigned flags) { ENTER; (void)stream; (void)event; (void)flags; return OK; }
int hipEventCreateWithFlags(void **event, unsigned flags) { ENTER; (void)flags; return make_handle(event, EVENT); }
int hipEventDestroy(void *event) { ENTER; return end(event, EVENT); }
int hipEventRecord(void *event, void *stream) { ENTER; (void)event; (void)stream; return OK; }
int hipEventSynchronize(void *event) { ENTER; (void)event; return OK; }
int hipEventQuery(void *event) { ENTER; (void)event; return OK; }
int hipEventElapsedTime(float *ms, void *start, void *stop) { ENTER; (void)start; (void)stop; *ms = 1.5f; return OK; }

int hipModuleLoadData(void **module, const void *image) {
    ENTER;
    if (memcmp(image, "\177ELF", 4)) return 200;
    return make_handle(module, MODULE);
}
int hipModuleUnload(void *module) { ENTER; return end(module, MODULE); }
int hipModuleGetFunction(void **function, void *module, const char *name) {
    ENTER;
    (void)name;
    *function = module;
    return OK;
}
#ifndef STUB_WITHOUT_LAUNCH
int hipModuleLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, void *stream, void **params, void **extra) {
    ENTER;
    (void)function; (void)gx; (void)gy; (void)gz; (void)bx; (void)by; (void)bz;
    (void)shared; (void)stream; (void)params; (void)extra;
#ifndef STUB_SILENT
    ++launches;
#endif
    return OK;
}
#endif

int hipStreamAddCallback(void *stream, void (*callback)(void *, int, void *), void *data, unsigned flags) {
    ENTER;
    (void)flags;
    callback(stream, OK, data);
    return OK;
}

#ifndef STUB_BARE
int hipDeviceGetPCIBusId(char *id, int len, int device) { ENTER; (void)device; strncpy(id, "0000:03:00.0", len); return OK; }
int hipDeviceGetUuid(char *uuid, int device) { ENTER; (void)device; memset(uuid, '7', 16); return OK; }
int hipDeviceCanAccessPeer(int *can, int device, int peer) { ENTER; *can = device != peer; return OK; }
int hipDeviceEnablePeerAccess(int peer, unsigned flags) { ENTER; (void)flags; return peer < STUB_DEVICES ? OK : INVALID_DEVICE; }
int hipDeviceDisablePeerAccess(int peer) { ENTER; (void)peer; return OK; }
int hipMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes, void *stream) {
    ENTER;
    (void)to_device; (void)from_device; (void)stream;
    memcpy(to, from, bytes);
    return OK;
}
int hipDeviceGetStreamPriorityRange(int *least, int *greatest) { ENTER; *least = 0; *greatest = -1; return OK; }
int hipStreamCreateWithPriority(void **stream, unsigned flags, int priority) {
    ENTER;
    (void)flags; (void)priority;
    return make_handle(stream, STREAM);
}
int hipStreamGetPriority(void *stream, int *priority) { ENTER; (void)stream; *priority = -1; return OK; }
int hipLaunchHostFunc(void *stream, void (*function)(void *), void *data) {
    ENTER;
    (void)stream;
    function(data);
    return OK;
}
int hipMallocAsync(void **out, size_t bytes, void *stream) { ENTER; (void)stream; return take(out, bytes, MEMORY); }
int hipFreeAsync(void *memory, void *stream) { ENTER; (void)stream; return give(memory, MEMORY); }
int hipModuleGetGlobal(void **address, size_t *bytes, void *module, const char *name) {
    ENTER;
    if (strcmp(name, "counter")) return NOT_FOUND;
    *address = module;
    *bytes = 4;
    return OK;
}
int hipFuncGetAttribute(int *value, int attribute, void *function) { ENTER; (void)attribute; (void)function; *value = 24; return OK; }
int hipModuleOccupancyMaxPotentialBlockSize(int *grid, int *block, void *function, size_t shared, int limit) {
    ENTER;
    (void)function; (void)shared; (void)limit;
    *grid = 16;
    *block = 256;
    return OK;
}
int hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int block, size_t shared) {
    ENTER;
    (void)function; (void)block; (void)shared;
    *blocks = 4;
    return OK;
}
int hipStreamBeginCapture(object *stream, int mode) { ENTER; (void)mode; stream->capturing = 1; return OK; }
int hipStreamEndCapture(object *stream, void **graph) {
    ENTER;
    if (!stream->capturing) return 401;
    stream->capturing = 0;
    return make_handle(graph, GRAPH);
}
int hipStreamIsCapturing(object *stream, int *status) { ENTER; *status = stream && stream->capturing; return OK; }
int hipGraphInstantiate(void **exec, void *graph, void **node, char *log, size_t bytes) {
    ENTER;
    (void)graph; (void)node; (void)log; (void)bytes;
    return make_handle(exec, EXEC);
}
int hipGraphLaunch(void *exec, void *stream) { ENTER; (void)exec; (void)stream; return OK; }
int hipGraphGetNodes(void *graph, void **nodes, size_t *count) { ENTER; (void)graph; (void)nodes; *count = 1; return OK; }
int hipGraphDestroy(void *graph) { ENTER; return end(graph, GRAPH); }
int hipGraphExecDestroy(void *exec) { ENTER; return end(exec, EXEC); }
#endif
