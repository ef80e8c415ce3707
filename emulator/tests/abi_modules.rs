//! Modules and launches through the C ABI: images in every form, arguments, grids, attributes and faults.

#[macro_use]
mod abi_support;

use std::ffi::CString;
use std::ptr::null_mut;

use abi_support::code::*;
use abi_support::{
    Dim3, KERNELS, Ptr, Stats, arg, bundle, code_object, code_object_with, kernels, one_device,
};

#[test]
fn a_module_from_every_form_of_image() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let object = kernels();
    let bundled = bundle(KERNELS, &["gfx90a", "gfx1100"]);
    let file = std::env::temp_dir().join(format!("abi-module-{}.hsaco", std::process::id()));
    std::fs::write(&file, &object).expect("a temporary file");
    let path = CString::new(file.to_str().expect("a path in UTF-8")).expect("no zero");
    // The wrapper that hipcc registers: magic, version, pointer, unused.
    let wrapper = [
        u64::from(0x4849_5046_u32) | 1 << 32,
        bundled.as_ptr() as u64,
        0,
    ];

    let mut modules = vec![hip.load_module(&object), hip.load_module(&bundled)];
    let mut module = null_mut();
    ok!(hip.hipModuleLoad(&mut module, path.as_ptr()));
    modules.push(module);
    ok!(hip.hipModuleLoadData(&mut module, wrapper.as_ptr().cast()));
    modules.push(module);
    for module in &modules {
        let function = hip.function(*module, c"increment");
        assert_eq!(hip.function(*module, c"increment"), function);
        let values = hip.upload(&[1_u32; 8]);
        assert_eq!(
            hip.launch(function, 2, 4, null_mut(), &mut [arg(&values), arg(&2_u32)]),
            SUCCESS
        );
        assert_eq!(hip.download::<u32>(values, 8), [3; 8]);
        hip.free(values);
    }
    // Each module has variables of its own.
    let count = hip.function(modules[0], c"count");
    assert_eq!(hip.launch(count, 3, 1, null_mut(), &mut []), SUCCESS);
    for (module, expected) in [(modules[0], 44), (modules[1], 41)] {
        let (mut address, mut size) = (null_mut(), 0);
        ok!(hip.hipModuleGetGlobal(&mut address, &mut size, module, c"counter".as_ptr()));
        assert_eq!(size, 4);
        assert_eq!(hip.download::<i32>(address, 1), [expected]);
        let mut base = null_mut();
        ok!(hip.hipMemGetAddressRange(&mut base, &mut size, address.wrapping_byte_add(3)));
        assert_eq!((base, size), (address, 4));
        // A copy past the variable stays inside of the module's memory, so it is not an error; one past that is.
        expect!(INVALID_VALUE, hip.hipMemset(address, 0, 1 << 30));
    }
    let mut function = null_mut();
    expect!(
        NOT_FOUND,
        hip.hipModuleGetFunction(&mut function, modules[0], c"nothing".as_ptr())
    );
    expect!(
        NOT_FOUND,
        hip.hipModuleGetGlobal(&mut function, &mut 0, modules[0], c"nothing".as_ptr())
    );
    expect!(
        INVALID_VALUE,
        hip.hipModuleGetFunction(&mut function, modules[0], std::ptr::null())
    );
    expect!(
        INVALID_HANDLE,
        hip.hipModuleGetFunction(&mut function, null_mut(), c"add".as_ptr())
    );
    for module in modules {
        let function = hip.function(module, c"count");
        ok!(hip.hipModuleUnload(module));
        expect!(INVALID_HANDLE, hip.hipModuleUnload(module));
        assert_eq!(
            hip.launch(function, 1, 1, null_mut(), &mut []),
            INVALID_HANDLE
        );
    }
    std::fs::remove_file(&file).expect("the temporary file is there");
    expect!(
        FILE_NOT_FOUND,
        hip.hipModuleLoad(&mut module, path.as_ptr())
    );
    assert_eq!(hip.alive(), before);
}

#[test]
fn images_that_cannot_be_loaded() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let mut module = null_mut();
    let mut load = |image: &[u8]| {
        // SAFETY: the images are padded, so that their headers can be read.
        unsafe { (hip.hipModuleLoadData)(&mut module, image.as_ptr().cast()) }
    };
    let padded = |bytes: &[u8]| [bytes, &[0; 256]].concat();
    assert_eq!(load(&code_object(KERNELS, "gfx90a")), NO_BINARY_FOR_GPU);
    assert_eq!(
        load(&bundle(KERNELS, &["gfx90a", "gfx1030"])),
        NO_BINARY_FOR_GPU
    );
    assert_eq!(load(&padded(b"this is no image")), INVALID_IMAGE);
    assert_eq!(load(&padded(b"\x7fELF\x02\x01\x01\x40")), INVALID_IMAGE);
    assert_eq!(load(&padded(b"\x7fELF\x01\x01\x01\x40")), INVALID_IMAGE);
    assert_eq!(
        load(&padded(
            b"__CLANG_OFFLOAD_BUNDLE__\xff\xff\xff\xff\xff\xff\xff\xff"
        )),
        INVALID_IMAGE
    );
    assert_eq!(load(&padded(b"FPIH")), INVALID_IMAGE);
    // An ELF file of another machine: this program.
    let this = std::fs::read(std::env::current_exe().expect("it runs")).expect("it can be read");
    assert_eq!(load(&this), INVALID_IMAGE);
    // Broken in the middle: every header stays, what they point to does not.
    let mut broken = kernels();
    let middle = broken.len() / 2;
    let notes = broken
        .windows(6)
        .position(|bytes| bytes == b"AMDGPU")
        .expect("the note is there");
    broken[notes..notes + 6].fill(0);
    assert_eq!(load(&broken), INVALID_IMAGE);
    let mut empty = kernels();
    empty[64..middle].fill(0);
    assert_eq!(load(&empty), INVALID_IMAGE);
    expect!(
        INVALID_VALUE,
        hip.hipModuleLoadData(&mut null_mut(), std::ptr::null())
    );
    expect!(
        INVALID_VALUE,
        hip.hipModuleLoadData(null_mut(), kernels().as_ptr().cast())
    );
    assert_eq!(hip.alive(), before);
}

#[test]
fn launches_with_both_forms_of_arguments() {
    let (hip, _turn) = one_device();
    let module = hip.load_module(&kernels());
    let mixed = hip.function(module, c"mixed");
    let out = hip.upload(&[0_f32; 4]);
    let (a, b, c) = (-3_i8, 2.5_f64, 700_i16);
    assert_eq!(
        hip.launch(
            mixed,
            1,
            1,
            null_mut(),
            &mut [arg(&a), arg(&b), arg(&c), arg(&out)]
        ),
        SUCCESS
    );
    assert_eq!(hip.download::<f32>(out, 4), [-3.0, 2.5, 700.0, 2.0]);

    // The same laid out by the client: char at 0, double at 8, short at 16, pointer at 24.
    let mut buffer = [0_u8; 32];
    buffer[0] = 9;
    buffer[8..16].copy_from_slice(&0.25_f64.to_le_bytes());
    buffer[16..18].copy_from_slice(&(-5_i16).to_le_bytes());
    buffer[24..].copy_from_slice(&(out as u64).to_le_bytes());
    let mut size = buffer.len();
    let launch = |extra: &mut [Ptr], arguments: *mut Ptr| {
        // SAFETY: the lists end with their end mark.
        unsafe {
            (hip.hipModuleLaunchKernel)(
                mixed,
                1,
                1,
                1,
                1,
                1,
                1,
                0,
                null_mut(),
                arguments,
                extra.as_mut_ptr(),
            )
        }
    };
    let (data, len): (Ptr, Ptr) = (buffer.as_mut_ptr().cast(), (&raw mut size).cast());
    assert_eq!(
        launch(&mut [1 as Ptr, data, 2 as Ptr, len, 3 as Ptr], null_mut()),
        SUCCESS
    );
    assert_eq!(hip.download::<f32>(out, 4), [9.0, 0.25, -5.0, 2.0]);
    // In the other order.
    assert_eq!(
        launch(&mut [2 as Ptr, len, 1 as Ptr, data, 3 as Ptr], null_mut()),
        SUCCESS
    );

    let mut arguments = [arg(&a), arg(&b), arg(&c), arg(&out)];
    let both = arguments.as_mut_ptr();
    assert_eq!(
        launch(&mut [1 as Ptr, data, 2 as Ptr, len, 3 as Ptr], both),
        INVALID_VALUE
    );
    assert_eq!(
        launch(&mut [1 as Ptr, data, 3 as Ptr], null_mut()),
        INVALID_VALUE
    );
    assert_eq!(
        launch(&mut [2 as Ptr, len, 3 as Ptr], null_mut()),
        INVALID_VALUE
    );
    assert_eq!(
        launch(&mut [7 as Ptr, len, 3 as Ptr], null_mut()),
        INVALID_VALUE
    );
    let mut short = 31_usize;
    let short = (&raw mut short).cast();
    assert_eq!(
        launch(&mut [1 as Ptr, data, 2 as Ptr, short, 3 as Ptr], null_mut()),
        INVALID_VALUE
    );
    // Neither.
    expect!(
        INVALID_VALUE,
        hip.hipModuleLaunchKernel(
            mixed,
            1,
            1,
            1,
            1,
            1,
            1,
            0,
            null_mut(),
            null_mut(),
            null_mut()
        )
    );
    hip.free(out);
    ok!(hip.hipModuleUnload(module));
}

#[test]
fn grids_and_blocks() {
    let (hip, _turn) = one_device();
    let module = hip.load_module(&kernels());
    let geometry = hip.function(module, c"geometry");
    let out = hip.upload(&[0_u32; 24]);
    let mut arguments = [arg(&out)];
    let launch = |grid: [u32; 3], block: [u32; 3], arguments: *mut Ptr| {
        let ([x, y, z], [a, b, c]) = (grid, block);
        // SAFETY: the kernel takes one argument.
        unsafe {
            (hip.hipModuleLaunchKernel)(
                geometry,
                x,
                y,
                z,
                a,
                b,
                c,
                0,
                null_mut(),
                arguments,
                null_mut(),
            )
        }
    };
    let list = arguments.as_mut_ptr();
    assert_eq!(launch([2, 3, 4], [2, 2, 1], list), SUCCESS);
    // Four threads a block: four times 2,000,000 and the sum of 1 to 4.
    assert_eq!(hip.download::<u32>(out, 24), [8_000_010; 24]);
    for (grid, block, expected) in [
        ([0, 1, 1], [1, 1, 1], INVALID_CONFIGURATION),
        ([1, 1, 1], [1, 0, 1], INVALID_CONFIGURATION),
        ([1, 1, 1], [1025, 1, 1], INVALID_CONFIGURATION),
        ([1, 1, 1], [512, 3, 1], INVALID_CONFIGURATION),
        (
            [1, 1, 1],
            [u32::MAX, u32::MAX, u32::MAX],
            INVALID_CONFIGURATION,
        ),
        ([u32::MAX, 1, 1], [2, 1, 1], INVALID_CONFIGURATION),
    ] {
        assert_eq!(launch(grid, block, list), expected, "{grid:?} {block:?}");
    }
    // In work-items, with a partial block at the end: blocks of 4 and 4 and 2 threads. A kernel has to be compiled for it.
    let partial = hip.load_module(&code_object_with(
        KERNELS,
        "gfx1100",
        &["-fno-offload-uniform-block"],
    ));
    let of_partial = hip.function(partial, c"geometry");
    ok!(hip.hipMemset(out, 0, 96));
    let none: Ptr = null_mut();
    ok!(hip.hipExtModuleLaunchKernel(
        of_partial,
        10,
        1,
        1,
        4,
        1,
        1,
        0,
        none,
        list,
        null_mut(),
        none,
        none,
        0
    ));
    assert_eq!(
        hip.download::<u32>(out, 3),
        [12_000_010, 12_000_010, 6_000_003]
    );
    ok!(hip.hipModuleUnload(partial));
    // A kernel that was compiled for at most 64 threads.
    let bounded = hip.function(module, c"bounded");
    assert_eq!(
        hip.launch(bounded, 1, 65, null_mut(), &mut [arg(&out)]),
        LAUNCH_FAILURE
    );
    assert_eq!(
        hip.launch(bounded, 1, 24, null_mut(), &mut [arg(&out)]),
        SUCCESS
    );
    ok!(hip.hipDeviceSynchronize());
    hip.free(out);
    ok!(hip.hipModuleUnload(module));
}

#[test]
fn dynamic_lds_and_attributes() {
    let (hip, _turn) = one_device();
    let module = hip.load_module(&kernels());
    let reverse = hip.function(module, c"reverse");
    let values: Vec<i32> = (0..256).collect();
    let pointer = hip.upload(&values);
    let launch = |lds: u32| {
        let mut arguments = [arg(&pointer)];
        let list = arguments.as_mut_ptr();
        // SAFETY: the kernel takes one argument.
        unsafe {
            (hip.hipModuleLaunchKernel)(
                reverse,
                1,
                1,
                1,
                256,
                1,
                1,
                lds,
                null_mut(),
                list,
                null_mut(),
            )
        }
    };
    assert_eq!(launch(1024), SUCCESS);
    assert!(
        hip.download::<i32>(pointer, 256)
            .iter()
            .eq(values.iter().rev())
    );
    assert_eq!(launch(65_537), INVALID_VALUE);
    let attribute = |attribute| {
        let mut value = -1;
        ok!(hip.hipFuncGetAttribute(&mut value, attribute, reverse));
        value
    };
    assert_eq!(attribute(0), 1024); // MAX_THREADS_PER_BLOCK
    assert_eq!(attribute(1), 0); // SHARED_SIZE_BYTES
    assert_eq!(attribute(8), 65_536); // MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert!(attribute(4) > 0); // NUM_REGS
    ok!(hip.hipFuncSetAttribute(reverse, 8, 2048));
    assert_eq!(attribute(8), 2048);
    expect!(INVALID_VALUE, hip.hipFuncSetAttribute(reverse, 8, 65_537));
    expect!(INVALID_VALUE, hip.hipFuncSetAttribute(reverse, 77, 1));
    expect!(
        INVALID_HANDLE,
        hip.hipFuncGetAttribute(&mut 0, 0, null_mut())
    );

    let mut blocks = 0;
    let occupancy = |threads, lds| {
        let mut blocks = -1;
        ok!(hip.hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(
            &mut blocks,
            reverse,
            threads,
            lds
        ));
        blocks
    };
    assert_eq!(occupancy(256, 0), 8);
    assert_eq!(occupancy(256, 32 << 10), 2);
    assert_eq!(occupancy(256, 65_537), 0);
    assert_eq!(occupancy(2048, 0), 0);
    let mut block = 0;
    ok!(hip.hipModuleOccupancyMaxPotentialBlockSize(&mut blocks, &mut block, reverse, 0, 0));
    assert_eq!((blocks, block), (2 * 48, 1024));
    ok!(hip.hipModuleOccupancyMaxPotentialBlockSize(&mut blocks, &mut block, reverse, 0, 128));
    assert_eq!(block, 128);
    // More blocks than fit at a time cannot wait for each other.
    let mut arguments = [arg(&pointer)];
    let list = arguments.as_mut_ptr();
    expect!(
        COOPERATIVE_TOO_LARGE,
        hip.hipModuleLaunchCooperativeKernel(
            reverse,
            10_000,
            1,
            1,
            256,
            1,
            1,
            1024,
            null_mut(),
            list
        )
    );
    ok!(hip.hipModuleLaunchCooperativeKernel(reverse, 1, 1, 1, 256, 1, 1, 1024, null_mut(), list));
    hip.free(pointer);
    ok!(hip.hipModuleUnload(module));
}

#[test]
fn a_fault_stays_until_the_reset() {
    let (hip, _turn) = one_device();
    let module = hip.load_module(&kernels());
    let (wild, add) = (
        hip.function(module, c"wild"),
        hip.function(module, c"count"),
    );
    let out = hip.malloc(4);
    let stream = hip.stream();
    assert_eq!(
        hip.launch(wild, 1, 1, stream, &mut [arg(&out)]),
        ILLEGAL_ADDRESS
    );
    let mut pointer = null_mut();
    expect!(ILLEGAL_ADDRESS, hip.hipMalloc(&mut pointer, 4));
    expect!(ILLEGAL_ADDRESS, hip.hipDeviceSynchronize());
    expect!(ILLEGAL_ADDRESS, hip.hipStreamSynchronize(stream));
    expect!(ILLEGAL_ADDRESS, hip.hipMemset(out, 0, 4));
    assert_eq!(hip.launch(add, 1, 1, null_mut(), &mut []), ILLEGAL_ADDRESS);
    // What needs no device goes on, and what the client has can be given back.
    let mut count = 0;
    ok!(hip.hipGetDeviceCount(&mut count));
    hip.free(out);
    ok!(hip.hipDeviceReset());
    // The reset took the stream; modules stay.
    expect!(INVALID_HANDLE, hip.hipStreamSynchronize(stream));
    assert_eq!(hip.launch(add, 1, 1, null_mut(), &mut []), SUCCESS);
    ok!(hip.hipModuleUnload(module));
    assert_eq!(
        hip.alive(),
        Stats {
            size: hip.alive().size,
            ..Stats::default()
        }
    );
}

#[test]
fn a_registered_fat_binary_is_launched_by_its_stub() {
    let (hip, _turn) = one_device();
    let image = bundle(KERNELS, &["gfx1100"]);
    let wrapper = [
        u64::from(0x4849_5046_u32) | 1 << 32,
        image.as_ptr() as u64,
        0,
    ];
    // Any address that the program owns may stand for a kernel.
    static STUBS: [u8; 2] = [0; 2];
    let (stub, other): (*const _, *const _) =
        ((&raw const STUBS[0]).cast(), (&raw const STUBS[1]).cast());
    // SAFETY: the wrapper and the image outlive the registration.
    let handle = unsafe { (hip.__hipRegisterFatBinary)(wrapper.as_ptr().cast()) };
    assert!(!handle.is_null());
    let nothing: Ptr = null_mut();
    // SAFETY: what is null is optional.
    unsafe {
        (hip.__hipRegisterFunction)(
            handle,
            stub,
            nothing.cast(),
            c"increment".as_ptr(),
            0,
            nothing,
            nothing,
            nothing,
            nothing,
            null_mut(),
        );
    }
    let values = hip.upload(&[5_u32; 64]);
    let (grid, block) = (Dim3(2, 1, 1), Dim3(32, 1, 1));
    ok!(hip.__hipPushCallConfiguration(grid, block, 0, null_mut()));
    let (mut g, mut b, mut lds, mut stream) = (Dim3(0, 0, 0), Dim3(0, 0, 0), 1, 1 as Ptr);
    ok!(hip.__hipPopCallConfiguration(&mut g, &mut b, &mut lds, &mut stream));
    assert_eq!((g.0, b.0, lds, stream), (2, 32, 0, null_mut()));
    expect!(
        MISSING_CONFIGURATION,
        hip.__hipPopCallConfiguration(&mut g, &mut b, &mut lds, &mut stream)
    );
    ok!(hip.hipLaunchKernel(
        stub,
        grid,
        block,
        [arg(&values), arg(&1_u32)].as_mut_ptr(),
        0,
        null_mut()
    ));
    assert_eq!(hip.download::<u32>(values, 64), [6; 64]);
    expect!(
        INVALID_DEVICE_FUNCTION,
        hip.hipLaunchKernel(other, grid, block, null_mut(), 0, null_mut())
    );
    expect!(
        INVALID_DEVICE_FUNCTION,
        hip.hipLaunchKernel(std::ptr::null(), grid, block, null_mut(), 0, null_mut())
    );
    // SAFETY: the handle is the one of the registration.
    unsafe { (hip.__hipUnregisterFatBinary)(handle) };
    expect!(
        INVALID_DEVICE_FUNCTION,
        hip.hipLaunchKernel(stub, grid, block, null_mut(), 0, null_mut())
    );
    hip.free(values);
}
