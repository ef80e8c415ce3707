//! The metadata note, compared with `llvm-readelf --notes`.

use std::collections::BTreeMap;

use codeobject::bundle::Bundle;
use codeobject::{AddressSpace, Arg, ArgKind, CodeObject, Kernel};

use crate::common::{bundle, llvm, run};

/// The scalars of one map of the metadata, as readelf prints them.
type Map = BTreeMap<String, String>;

/// A kernel's map, and those of its arguments.
#[derive(Debug, Default)]
struct Printed {
    kernel: Map,
    args: Vec<Map>,
}

/// Reads the YAML that readelf prints: a list of kernels at depth 2, in each a list of arguments at depth 6.
fn parse(text: &str) -> Vec<Printed> {
    let mut kernels: Vec<Printed> = Vec::new();
    let lines = text
        .lines()
        .skip_while(|line| *line != "amdhsa.kernels:")
        .skip(1);
    for line in lines.take_while(|line| line.starts_with(' ')) {
        let depth = line.len() - line.trim_start().len();
        let (is_first, entry) = match line.trim_start().strip_prefix("- ") {
            Some(entry) => (true, entry),
            None => (false, line.trim_start()),
        };
        if is_first && depth == 2 {
            kernels.push(Printed::default());
        }
        let kernel = kernels.last_mut().expect("a kernel begins with a dash");
        if is_first && depth == 6 && entry.starts_with('.') {
            kernel.args.push(Map::new());
        }
        let Some((key, value)) = entry.split_once(':') else {
            continue;
        };
        let map = if depth >= 6 {
            kernel.args.last_mut().expect("an argument")
        } else {
            &mut kernel.kernel
        };
        map.insert(key.to_owned(), value.trim().trim_matches('\'').to_owned());
    }
    kernels
}

/// Our reading of a value of a kernel's map; `None` for lists and for what is not kept.
fn kernel_value(kernel: &Kernel, key: &str) -> Option<String> {
    Some(match key {
        ".name" => kernel.name.clone(),
        ".symbol" => kernel.symbol.clone(),
        ".language" => kernel.language.clone()?,
        ".kernarg_segment_size" => kernel.kernarg_segment_size.to_string(),
        ".kernarg_segment_align" => kernel.kernarg_segment_align.to_string(),
        ".group_segment_fixed_size" => kernel.group_segment_fixed_size.to_string(),
        ".private_segment_fixed_size" => kernel.private_segment_fixed_size.to_string(),
        ".wavefront_size" => kernel.wavefront_size.to_string(),
        ".sgpr_count" => kernel.sgpr_count.to_string(),
        ".vgpr_count" => kernel.vgpr_count.to_string(),
        ".agpr_count" => kernel.agpr_count.to_string(),
        ".sgpr_spill_count" => kernel.sgpr_spill_count.to_string(),
        ".vgpr_spill_count" => kernel.vgpr_spill_count.to_string(),
        ".max_flat_workgroup_size" => kernel.max_flat_workgroup_size.to_string(),
        ".uniform_work_group_size" => u32::from(kernel.uniform_work_group_size).to_string(),
        ".uses_dynamic_stack" => kernel.uses_dynamic_stack.to_string(),
        ".workgroup_processor_mode" => u32::from(kernel.workgroup_processor_mode).to_string(),
        ".args" | ".language_version" | ".reqd_workgroup_size" => return None,
        other => panic!("readelf prints a key `{other}`"),
    })
}

/// Our reading of a value of an argument's map, in the spelling of the metadata.
fn arg_value(arg: &Arg, key: &str) -> String {
    let snake = |value: serde_json::Value| value.as_str().expect("a name").to_owned();
    match key {
        ".offset" => arg.offset.to_string(),
        ".size" => arg.size.to_string(),
        ".address_space" => snake(serde_json::to_value(arg.address_space).unwrap()),
        ".actual_access" => snake(serde_json::to_value(arg.actual_access).unwrap()),
        ".pointee_align" => arg.pointee_align.expect("an alignment").to_string(),
        ".value_kind" => match &arg.kind {
            ArgKind::Hidden(hidden) => {
                format!("hidden_{}", snake(serde_json::to_value(hidden).unwrap()))
            }
            kind => snake(serde_json::to_value(kind).unwrap()),
        },
        ".is_const" => arg.is_const.to_string(),
        ".is_restrict" => arg.is_restrict.to_string(),
        ".is_volatile" => arg.is_volatile.to_string(),
        ".name" => arg.name.clone().expect("a name"),
        ".type_name" => arg.type_name.clone().expect("a type"),
        other => panic!("readelf prints a key `{other}`"),
    }
}

#[test]
fn the_metadata_is_what_readelf_prints() {
    let folder = tempfile::tempdir().unwrap();
    for (version, targets) in [
        (4, &["gfx906", "gfx1100"][..]),
        (5, &["gfx90a:sramecc+:xnack-", "gfx1100"]),
        (6, &["gfx10-3-generic", "gfx942", "gfx1201"]),
    ] {
        // Without optimisation the hidden arguments stay.
        let options = [&format!("-mcode-object-version={version}"), "-O0"];
        let bytes = std::fs::read(bundle(folder.path(), targets, &options)).unwrap();
        let bundle = Bundle::parse(&bytes).unwrap();
        for entry in bundle.code_objects() {
            let code_object = CodeObject::parse(entry.data).unwrap();
            assert_eq!(code_object.version(), version);
            assert_eq!(Some(code_object.target()), entry.target());
            assert_eq!(
                code_object.generic_version(),
                u8::from(code_object.target().is_generic())
            );

            let path = folder.path().join("code-object");
            std::fs::write(&path, entry.data).unwrap();
            let printed = parse(
                &String::from_utf8(run(llvm("llvm-readelf").arg("--notes").arg(&path))).unwrap(),
            );
            assert_eq!(printed.len(), code_object.kernels().len());
            assert!(printed.len() >= 3);
            for (kernel, printed) in code_object.kernels().iter().zip(&printed) {
                for (key, value) in &printed.kernel {
                    if let Some(ours) = kernel_value(kernel, key) {
                        assert_eq!(&ours, value, "{} {key}", kernel.name);
                    }
                }
                assert_eq!(kernel.args.len(), printed.args.len());
                assert!(
                    kernel.args.len() > kernel.explicit_args().count() + 3,
                    "the hidden arguments are there"
                );
                for (arg, printed) in kernel.args.iter().zip(&printed.args) {
                    for (key, value) in printed {
                        assert_eq!(
                            &arg_value(arg, key),
                            value,
                            "{} {key} of {arg:?}",
                            kernel.name
                        );
                    }
                    assert!(!matches!(arg.kind, ArgKind::Unknown(_)));
                    assert_eq!(
                        arg.address_space.is_some(),
                        printed.contains_key(".address_space")
                    );
                }
            }
        }
    }
}

#[test]
fn dynamic_shared_pointers_and_required_sizes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("kernel.cl");
    std::fs::write(
        &source,
        "__kernel __attribute__((reqd_work_group_size(8, 4, 2)))\n\
         void k(__local int *shared, const __global float *restrict in, volatile __global int *out, \
         read_only image2d_t image) { *out = *shared + (int)*in; }",
    )
    .unwrap();
    let path = folder.path().join("kernel.co");
    run(llvm("clang")
        .args([
            "--target=amdgcn-amd-amdhsa",
            "-mcpu=gfx1030",
            "-nogpulib",
            "-cl-kernel-arg-info",
            "-O1",
        ])
        .args(["-Xclang", "-finclude-default-header"])
        .arg(&source)
        .arg("-o")
        .arg(&path));
    let bytes = std::fs::read(path).unwrap();
    let code_object = CodeObject::parse(&bytes).unwrap();
    let kernel = code_object.kernel("k").unwrap();
    assert_eq!(kernel.reqd_workgroup_size, Some([8, 4, 2]));
    let args: Vec<_> = kernel.explicit_args().collect();
    assert_eq!(args[0].kind, ArgKind::DynamicSharedPointer);
    assert_eq!(
        (args[0].pointee_align, args[0].address_space),
        (Some(4), Some(AddressSpace::Local))
    );
    assert!(args[1].is_const && args[1].is_restrict && !args[1].is_volatile);
    assert_eq!(
        (args[1].name.as_deref(), args[1].type_name.as_deref()),
        (Some("in"), Some("float*"))
    );
    assert!(args[2].is_volatile);
    assert_eq!(
        (&args[3].kind, args[3].access),
        (&ArgKind::Image, Some(codeobject::Access::ReadOnly))
    );
}
