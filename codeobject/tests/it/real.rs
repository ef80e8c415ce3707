//! hipcc's own output, compared with what LLVM's tools say about it.

use std::path::Path;

use crate::common::{TARGETS, assert_same, compiled, hipcc, list, llvm, run, unbundle};
use codeobject::bundle::{Bundle, Compression, Writer, compress, find, is_compressed};
use codeobject::{
    AddressSpace, ArgKind, CodeObject, Extent, HiddenArg, RelocationKind, SymbolKind, TargetId,
};

fn id(text: &str) -> TargetId {
    text.parse().unwrap()
}

/// Runs `clang-offload-bundler` over the code objects of a bundle, as hipcc does.
fn rebundle(folder: &Path, read: &Bundle<'_>, options: &[&str]) -> Vec<u8> {
    let out = folder.join("rebundled");
    let mut command = llvm("clang-offload-bundler");
    command
        .args(["--type=o"])
        .args(options)
        .arg(format!("--output={}", out.display()));
    let mut targets = vec!["host-x86_64-unknown-linux".to_owned()];
    command.arg("--input=/dev/null");
    for (index, entry) in read.code_objects().enumerate() {
        let path = folder.join(format!("{index}.co"));
        std::fs::write(&path, entry.data).unwrap();
        targets.push(entry.id.to_string());
        command.arg(format!("--input={}", path.display()));
    }
    run(command.arg(format!("--targets={}", targets.join(","))));
    std::fs::read(out).unwrap()
}

#[test]
fn bundles_are_written_as_clang_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_, theirs) = compiled();
    let read = Bundle::parse(theirs).unwrap();

    let mut writer = Writer::new();
    for entry in read.code_objects() {
        writer = writer.add(entry.target().unwrap().clone(), entry.data);
    }
    assert_same(&writer.to_vec().unwrap(), theirs, "hipcc's bundle");
    for (alignment, option) in [
        (1, "--bundle-align=1"),
        (4096, "--bundle-align=4096"),
        (24, "--bundle-align=24"),
    ] {
        let theirs = rebundle(folder.path(), &read, &[option]);
        assert_same(
            &writer.clone().align(alignment).to_vec().unwrap(),
            &theirs,
            option,
        );
    }
}

#[test]
fn entries_without_bytes_are_written_as_clang_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    for contents in [
        &[][..],
        &["empty"],
        &["code", "empty"],
        &["empty", "code", "empty", "code"],
    ] {
        let targets = ["gfx1100", "gfx1030", "gfx90a", "gfx942"];
        let mut writer = Writer::new();
        let mut ids = "host-x86_64-unknown-linux".to_owned();
        let mut command = llvm("clang-offload-bundler");
        command.args(["--type=o", "--bundle-align=4096", "--input=/dev/null"]);
        for (index, (content, target)) in contents.iter().zip(targets).enumerate() {
            // Equal code objects would share a place here.
            let data = if *content == "empty" {
                vec![]
            } else {
                vec![b'c'; index + 1]
            };
            let path = folder.path().join(index.to_string());
            std::fs::write(&path, &data).unwrap();
            command.arg(format!("--input={}", path.display()));
            ids += &format!(",hipv4-amdgcn-amd-amdhsa--{target}");
            writer = writer.add(id(target), data);
        }
        run(command
            .arg(format!("--targets={ids}"))
            .arg(format!("--output={}", out.display())));
        assert_same(
            &writer.to_vec().unwrap(),
            &std::fs::read(&out).unwrap(),
            &format!("{contents:?}"),
        );
    }
}

#[test]
fn plain_bundles_are_read_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (path, theirs) = compiled();
    let read = Bundle::parse(theirs).unwrap();
    assert!(!read.was_compressed());
    let mut ids: Vec<_> = read.entries().map(|entry| entry.id.to_string()).collect();
    ids.sort();
    assert_eq!(ids, list(path));
    for target in TARGETS {
        let entry = read.select(&id(target)).unwrap();
        assert_same(entry.data, &unbundle(path, entry.id.as_str()), target);
    }

    // Equal code objects at one place, and an order of our own: clang's reader has to find all of them.
    let code = read.select(&id("gfx1100")).unwrap().data;
    let ours = Writer::new()
        .add(id("gfx1101"), code)
        .add(id("gfx10-3-generic"), &b"other"[..])
        .add(id("gfx1100"), code)
        .to_vec()
        .unwrap();
    assert!(ours.len() < 2 * code.len());
    let path = folder.path().join("ours.hipfb");
    std::fs::write(&path, &ours).unwrap();
    assert_eq!(list(&path).len(), 4);
    for entry in Bundle::parse(&ours).unwrap().code_objects() {
        assert_same(
            entry.data,
            &unbundle(&path, entry.id.as_str()),
            entry.id.as_str(),
        );
    }
}

#[test]
fn compressed_bundles_are_read_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (_, plain) = compiled();
    let read = Bundle::parse(plain).unwrap();
    let theirs = rebundle(folder.path(), &read, &["--bundle-align=4096", "--compress"]);
    assert!(is_compressed(&theirs));
    let restored = Bundle::parse(&theirs).unwrap();
    assert!(restored.was_compressed());
    assert_same(restored.as_bytes(), plain, "their compressed bundle");

    let ours = compress(plain, Compression::default()).unwrap();
    assert_same(
        Bundle::parse(&ours).unwrap().as_bytes(),
        plain,
        "our compressed bundle",
    );
    // Everything of the header but the container's size, which depends on the level.
    assert_same(&ours[..8], &theirs[..8], "magic, version and method");
    assert_same(&ours[12..24], &theirs[12..24], "plain size and digest");
    let path = folder.path().join("ours.hipfb");
    std::fs::write(&path, &ours).unwrap();
    for entry in read.code_objects() {
        assert_same(
            entry.data,
            &unbundle(&path, entry.id.as_str()),
            entry.id.as_str(),
        );
    }
}

#[test]
fn kernels_are_what_the_source_says() {
    let (_, bytes) = compiled();
    let bundle = Bundle::parse(bytes).unwrap();
    for target in TARGETS {
        let code_object = CodeObject::parse(bundle.select(&id(target)).unwrap().data).unwrap();
        assert_eq!(code_object.target(), &id(target));
        assert_eq!(code_object.version(), 5);
        let wave = if target.starts_with("gfx9") { 64 } else { 32 };

        let mut names: Vec<_> = code_object
            .kernels()
            .iter()
            .map(|kernel| kernel.name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["_Z7scratchILi64EEvPiPKi", "reduce", "scale"]);

        let scale = code_object.kernel("scale").unwrap();
        let explicit: Vec<_> = scale
            .explicit_args()
            .map(|arg| (&arg.kind, arg.offset, arg.size))
            .collect();
        assert_eq!(
            explicit,
            [
                (&ArgKind::GlobalBuffer, 0, 8),
                (&ArgKind::GlobalBuffer, 8, 8),
                (&ArgKind::ByValue, 16, 12)
            ]
        );
        assert_eq!(scale.args[0].address_space, Some(AddressSpace::Global));
        assert!(
            scale
                .args
                .iter()
                .any(|arg| arg.kind == ArgKind::Hidden(HiddenArg::GroupSizeX))
        );
        assert_eq!(scale.wavefront_size, wave);
        assert_eq!(scale.max_flat_workgroup_size, 1024);
        assert_eq!(scale.symbol, "scale.kd");

        let reduce = code_object.kernel("reduce").unwrap();
        assert_eq!(reduce.group_segment_fixed_size, 1024);
        assert_eq!(reduce.max_flat_workgroup_size, 256);
        assert_eq!(
            reduce
                .explicit_args()
                .map(|arg| arg.size)
                .collect::<Vec<_>>(),
            [8, 8, 8, 2]
        );

        let scratch = code_object.kernel("_Z7scratchILi64EEvPiPKi").unwrap();
        assert!(scratch.private_segment_fixed_size >= 256);
        assert!(code_object.kernel("scratch").is_none());

        for kernel in code_object.kernels() {
            let descriptor = kernel.descriptor;
            assert_eq!(
                u64::from(descriptor.kernarg_size),
                kernel.kernarg_segment_size
            );
            assert_eq!(
                descriptor.group_segment_fixed_size,
                kernel.group_segment_fixed_size
            );
            assert_eq!(
                descriptor.private_segment_fixed_size,
                kernel.private_segment_fixed_size
            );
            assert_eq!(descriptor.wavefront_size(), wave);
            assert!(
                descriptor.allocated_vgprs(code_object.target().family().unwrap())
                    >= kernel.vgpr_count
            );
            assert!(code_object.text().contains(&kernel.entry_address));
            assert!(kernel.code_size > 0 && kernel.entry_address % 256 == 0);
            let code = code_object
                .bytes_at(kernel.entry_address, kernel.code_size)
                .unwrap();
            assert_eq!(code.len() as u64, kernel.code_size);
        }

        let table = code_object.symbol("table").unwrap();
        assert_eq!((table.size, table.kind), (64, SymbolKind::Object));
        let one = code_object.bytes_at(table.address, 4).unwrap();
        assert_eq!(one, 1.0_f32.to_le_bytes());
        let counter = code_object.symbol("counter").unwrap();
        let pointer = code_object.symbol("pointer_to_counter").unwrap();
        let relocation = code_object
            .relocations()
            .iter()
            .find(|r| r.offset == pointer.address)
            .unwrap();
        assert_eq!(relocation.kind, RelocationKind::Relative64);
        assert_eq!(relocation.addend as u64, counter.address);
        assert!(code_object.segment_of(counter.address).unwrap().is_writable);
    }
}

#[test]
fn bundles_are_found_in_objects_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let (path, genco) = compiled();
    let source = path.with_file_name("kernels.hip");
    let mut linked = Vec::new();
    for (name, options) in [("plain", &[][..]), ("compressed", &["--offload-compress"])] {
        let object = folder.path().join(format!("{name}.o"));
        run(hipcc()
            .args(["-O2", "-c", "-fuse-cuid=none"])
            .args(options)
            .args(TARGETS.map(|target| format!("--offload-arch={target}")))
            .arg(&source)
            .arg("-o")
            .arg(&object));
        let bytes = std::fs::read(&object).unwrap();
        let found = find(&bytes);
        assert_eq!(found.len(), 1, "{name}");
        let read = Bundle::parse(found[0].bytes).unwrap();
        assert_eq!(read.was_compressed(), name == "compressed");
        assert_same(read.as_bytes(), genco, name);
        linked.push(object);
    }
    // What a linker makes of objects from several sources: one section with all bundles.
    let library = folder.path().join("library.o");
    run(llvm("ld.lld")
        .args(["-r", "--allow-multiple-definition"])
        .args(&linked)
        .arg("-o")
        .arg(&library));
    let bytes = std::fs::read(&library).unwrap();
    let found = find(&bytes);
    assert_eq!(found.len(), 2);
    for found in found {
        assert_eq!(
            Extent::of(&bytes[found.offset..]).unwrap(),
            Extent::Complete(found.bytes.len() as u64)
        );
        assert_same(
            Bundle::parse(found.bytes).unwrap().as_bytes(),
            genco,
            "linked",
        );
    }
}
