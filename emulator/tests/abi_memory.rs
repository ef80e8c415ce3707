//! Memory through the C ABI: allocations of every kind, copies and fills, and what is refused.

#[macro_use]
mod abi_support;

use std::ffi::c_int;
use std::ptr::null_mut;

use abi_support::code::*;
use abi_support::{
    BY_ADDRESS, MEMORY, ON_DEVICE, Ptr, TO_DEVICE, TO_HOST, arg, kernels, one_device,
};
use amdhip64::hip::types::hipPointerAttribute_t;

#[test]
fn memory_is_bounded_and_freed_once() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let (mut free, mut total) = (0, 0);
    ok!(hip.hipMemGetInfo(&mut free, &mut total));
    assert_eq!(total, MEMORY);
    let pointer = hip.malloc(1 << 20);
    let mut less = 0;
    ok!(hip.hipMemGetInfo(&mut less, &mut total));
    assert_eq!(free - less, 1 << 20);
    let mut huge = 1 as Ptr;
    expect!(OUT_OF_MEMORY, hip.hipMalloc(&mut huge, MEMORY));
    expect!(OUT_OF_MEMORY, hip.hipMalloc(&mut huge, usize::MAX));
    ok!(hip.hipMalloc(&mut huge, 0));
    assert!(huge.is_null());
    ok!(hip.hipFree(null_mut()));

    let (mut base, mut size) = (null_mut(), 0);
    let inside = pointer.wrapping_byte_add(100);
    ok!(hip.hipMemGetAddressRange(&mut base, &mut size, inside));
    assert_eq!((base, size), (pointer, 1 << 20));
    expect!(
        NOT_FOUND,
        hip.hipMemGetAddressRange(&mut base, &mut size, (&raw mut size).cast())
    );
    expect!(INVALID_VALUE, hip.hipFree(inside));
    expect!(INVALID_VALUE, hip.hipHostFree(pointer));
    hip.free(pointer);
    expect!(INVALID_VALUE, hip.hipFree(pointer));
    assert_eq!(hip.alive(), before);
}

#[test]
fn copies_of_every_kind() {
    let (hip, _turn) = one_device();
    let values: Vec<u32> = (0..1000).collect();
    let (a, b) = (hip.upload(&values), hip.malloc(4000));
    ok!(hip.hipMemcpyDtoD(b, a, 4000));
    assert_eq!(hip.download::<u32>(b, 1000), values);
    ok!(hip.hipMemset(b, 0, 4000));
    ok!(hip.hipMemcpy(b, a, 4000, BY_ADDRESS));
    assert_eq!(hip.download::<u32>(b, 1000), values);
    // Overlapping ranges.
    ok!(hip.hipMemcpy(b.wrapping_byte_add(40), b, 3960, ON_DEVICE));
    assert_eq!(hip.download::<u32>(b, 1000)[10..], values[..990]);
    // Nothing to copy is nothing to check.
    ok!(hip.hipMemcpy(b, a, 0, ON_DEVICE));
    ok!(hip.hipMemcpyPeer(b, 0, a, 0, 4000));
    expect!(INVALID_DEVICE, hip.hipMemcpyPeer(b, 0, a, 1, 4000));

    let mut host = vec![0_u32; 1000];
    let place: Ptr = host.as_mut_ptr().cast();
    expect!(INVALID_VALUE, hip.hipMemcpy(null_mut(), a, 4, TO_DEVICE));
    expect!(INVALID_VALUE, hip.hipMemcpy(b, null_mut(), 4, ON_DEVICE));
    expect!(INVALID_VALUE, hip.hipMemcpy(b, a, 4001, ON_DEVICE));
    expect!(
        INVALID_VALUE,
        hip.hipMemcpy(place, a.wrapping_byte_add(8), 4000, TO_HOST)
    );
    expect!(INVALID_VALUE, hip.hipMemcpy(b, a, usize::MAX, ON_DEVICE));
    expect!(INVALID_DIRECTION, hip.hipMemcpy(b, a, 4, 5));
    expect!(INVALID_DIRECTION, hip.hipMemcpy(b, a, 4, -1));
    // Two host addresses that say they are something else.
    let other = values.as_ptr().cast();
    expect!(INVALID_VALUE, hip.hipMemcpy(place, other, 4000, TO_DEVICE));
    ok!(hip.hipMemcpy(place, other, 4000, BY_ADDRESS));
    assert_eq!(host, values);
    hip.free(a);
    hip.free(b);
    expect!(INVALID_VALUE, hip.hipMemcpy(place, a, 4, TO_HOST));
}

#[test]
fn fills_and_rows() {
    let (hip, _turn) = one_device();
    let (mut rows, mut pitch) = (null_mut(), 0);
    ok!(hip.hipMallocPitch(&mut rows, &mut pitch, 100, 7));
    assert_eq!(pitch, 256);
    ok!(hip.hipMemset2D(rows, pitch, 0x55, 100, 7));
    let bytes = hip.download::<u8>(rows, pitch * 7);
    for (row, bytes) in bytes.chunks(pitch).enumerate() {
        assert!(bytes[..100].iter().all(|byte| *byte == 0x55), "row {row}");
        assert!(bytes[100..].iter().all(|byte| *byte == 0), "row {row}");
    }
    let packed: Vec<u8> = (0..=255).cycle().take(700).collect();
    ok!(hip.hipMemcpy2D(rows, pitch, packed.as_ptr().cast(), 100, 100, 7, TO_DEVICE));
    let mut back = vec![0_u8; 700];
    ok!(hip.hipMemcpy2D(back.as_mut_ptr().cast(), 100, rows, pitch, 100, 7, TO_HOST));
    assert_eq!(back, packed);
    expect!(
        INVALID_PITCH,
        hip.hipMemcpy2D(rows, 99, packed.as_ptr().cast(), 100, 100, 7, TO_DEVICE)
    );
    expect!(
        INVALID_VALUE,
        hip.hipMemcpy2D(rows, pitch, packed.as_ptr().cast(), 100, 100, 8, TO_DEVICE)
    );
    hip.free(rows);

    let values = hip.malloc(64);
    ok!(hip.hipMemsetD16(values, 0x1234, 32));
    assert_eq!(hip.download::<u16>(values, 32), [0x1234; 32]);
    ok!(hip.hipMemsetD32(values, -2, 16));
    assert_eq!(hip.download::<i32>(values, 16), [-2; 16]);
    expect!(INVALID_VALUE, hip.hipMemsetD32(values, 0, 17));
    expect!(
        INVALID_VALUE,
        hip.hipMemsetD32(values.wrapping_byte_add(2), 0, 1)
    );
    expect!(INVALID_VALUE, hip.hipMemset(null_mut(), 0, 1));
    let mut host = 0_u64;
    expect!(INVALID_VALUE, hip.hipMemset((&raw mut host).cast(), 1, 8));
    hip.free(values);
}

#[test]
fn host_memory_of_three_kinds() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let attributes = |pointer: Ptr| {
        let mut attributes = hipPointerAttribute_t::zeroed();
        ok!(hip.hipPointerGetAttributes((&raw mut attributes).cast(), pointer));
        attributes
    };
    let (mut pinned, mut managed, mut device) = (null_mut(), null_mut(), null_mut());
    ok!(hip.hipHostMalloc(&mut pinned, 64, 2));
    ok!(hip.hipMallocManaged(&mut managed, 64, 1));
    expect!(INVALID_VALUE, hip.hipMallocManaged(&mut device, 64, 0));
    expect!(
        INVALID_VALUE,
        hip.hipHostMalloc(&mut device, 64, 0xc000_0000)
    );
    let mut mine = vec![7_u32; 16];
    let registered: Ptr = mine.as_mut_ptr().cast();
    assert_eq!(attributes(registered).type_, 0);
    ok!(hip.hipHostRegister(registered, 64, 0));
    expect!(
        ALREADY_REGISTERED,
        hip.hipHostRegister(registered.wrapping_byte_add(60), 64, 0)
    );
    let on_device = hip.malloc(64);
    // Host, managed, device.
    for (pointer, kind) in [(pinned, 1), (registered, 1), (managed, 3), (on_device, 2)] {
        let attributes = attributes(pointer.wrapping_byte_add(8));
        assert_eq!((attributes.type_, attributes.device), (kind, 0));
        assert_eq!(attributes.devicePointer, pointer.wrapping_byte_add(8));
        assert_eq!(attributes.hostPointer.is_null(), kind == 2);
        assert_eq!(attributes.isManaged, c_int::from(kind == 3));
    }
    let mut flags = 0;
    ok!(hip.hipHostGetFlags(&mut flags, pinned));
    assert_eq!(flags, 2);
    ok!(hip.hipHostGetDevicePointer(&mut device, registered, 0));
    assert_eq!(device, registered);
    expect!(
        INVALID_VALUE,
        hip.hipHostGetDevicePointer(&mut device, on_device, 0)
    );

    // A kernel sees all of them.
    let module = hip.load_module(&kernels());
    let increment = hip.function(module, c"increment");
    for pointer in [pinned, registered, managed] {
        assert_eq!(
            hip.launch(
                increment,
                1,
                16,
                null_mut(),
                &mut [arg(&pointer), arg(&5_u32)]
            ),
            SUCCESS
        );
    }
    assert_eq!(mine, [12; 16]);
    // SAFETY: pinned memory of 64 bytes.
    assert_eq!(unsafe { *pinned.cast::<[u32; 16]>() }, [5; 16]);
    ok!(hip.hipModuleUnload(module));
    ok!(hip.hipHostUnregister(registered));
    expect!(NOT_REGISTERED, hip.hipHostUnregister(registered));
    // It is the host's all the same.
    ok!(hip.hipMemcpy(on_device, registered, 64, BY_ADDRESS));
    ok!(hip.hipHostFree(pinned));
    expect!(INVALID_VALUE, hip.hipHostFree(pinned));
    hip.free(managed);
    hip.free(on_device);
    assert_eq!(hip.alive(), before);
}

#[test]
fn pools_count_what_they_give() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let stream = hip.stream();
    let (mut pool, mut pointer, mut used) = (null_mut(), null_mut(), 0);
    ok!(hip.hipDeviceGetDefaultMemPool(&mut pool, 0));
    ok!(hip.hipMallocAsync(&mut pointer, 1000, stream));
    ok!(hip.hipMemsetAsync(pointer, 1, 1000, stream));
    ok!(hip.hipMemPoolGetAttribute(pool, 7, &mut used));
    assert_eq!(used, 1000);
    ok!(hip.hipFreeAsync(pointer, stream));
    expect!(INVALID_VALUE, hip.hipFreeAsync(pointer, stream));
    ok!(hip.hipMemPoolGetAttribute(pool, 7, &mut used));
    assert_eq!(used, 0);
    ok!(hip.hipMemPoolGetAttribute(pool, 8, &mut used));
    assert_eq!(used, 1000);
    let mut threshold = 1 << 30;
    ok!(hip.hipMemPoolSetAttribute(pool, 4, &mut threshold));
    threshold = 0;
    ok!(hip.hipMemPoolGetAttribute(pool, 4, &mut threshold));
    assert_eq!(threshold, 1 << 30);
    expect!(
        INVALID_VALUE,
        hip.hipMemPoolGetAttribute(pool, 99, &mut used)
    );
    expect!(
        INVALID_HANDLE,
        hip.hipMemPoolGetAttribute(stream, 4, &mut used)
    );
    ok!(hip.hipStreamDestroy(stream));
    assert_eq!(hip.alive(), before);
}
