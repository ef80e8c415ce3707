//! Prints what is in a bundle, a code object, or a program that embeds bundles.
//!
//!     cargo run --release -p codeobject --example dump -- FILE [KERNEL]
//!
//! With a kernel's name: its arguments, and the source line of each stretch of its code.

use std::error::Error;

use codeobject::bundle::{Bundle, find};
use codeobject::{CodeObject, Kernel};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: dump FILE [KERNEL]")?;
    let kernel = arguments.next();
    let bytes = std::fs::read(&path)?;
    let bundles = find(&bytes);
    if bundles.is_empty() {
        return dump(&CodeObject::parse(&bytes)?, kernel.as_deref());
    }
    for found in bundles {
        let bundle = Bundle::parse(found.bytes)?;
        let form = if bundle.was_compressed() {
            "compressed bundle"
        } else {
            "bundle"
        };
        println!("{form} at {:#x}, {} bytes", found.offset, found.bytes.len());
        for entry in bundle.entries() {
            println!(
                "  {} at {:#x}, {} bytes",
                entry.id,
                entry.offset,
                entry.data.len()
            );
        }
        for entry in bundle.code_objects() {
            dump(&CodeObject::parse(entry.data)?, kernel.as_deref())?;
        }
    }
    Ok(())
}

fn dump(code_object: &CodeObject<'_>, name: Option<&str>) -> Result<(), Box<dyn Error>> {
    println!(
        "{}, code object version {}",
        code_object.target(),
        code_object.version()
    );
    if let Some(name) = name {
        return code_object
            .kernel(name)
            .map_or(Ok(()), |kernel| dump_kernel(code_object, kernel));
    }
    println!("  code   VGPR AGPR SGPR    LDS scratch spills waves  kernel");
    for kernel in code_object.kernels() {
        let processor = code_object.target().known();
        let occupancy =
            processor.and_then(|p| kernel.occupancy(p, kernel.max_flat_workgroup_size, 0));
        println!(
            "  {:<6} {:4} {:4} {:4} {:6} {:7} {:6} {:>5}  {}",
            kernel.code_size,
            kernel.vgpr_count,
            kernel.agpr_count,
            kernel.sgpr_count,
            kernel.group_segment_fixed_size,
            kernel.private_segment_fixed_size,
            kernel.vgpr_spill_count + kernel.sgpr_spill_count,
            occupancy.map_or("?".to_owned(), |occupancy| occupancy
                .waves_per_simd
                .to_string()),
            kernel.name,
        );
    }
    Ok(())
}

fn dump_kernel(code_object: &CodeObject<'_>, kernel: &Kernel) -> Result<(), Box<dyn Error>> {
    for arg in &kernel.args {
        println!("  +{:<4} {:3} bytes  {:?}", arg.offset, arg.size, arg.kind);
    }
    let code = kernel.entry_address..kernel.entry_address + kernel.code_size;
    let lines = code_object.line_table()?;
    let inlines = code_object.inline_table()?;
    for (range, location) in lines
        .ranges()
        .filter(|(range, _)| code.contains(&range.start))
    {
        print!("  {:#x}..{:#x} {location}", range.start, range.end);
        for frame in inlines.frames(range.start) {
            print!(" in {}", frame.function);
            if let Some(call) = frame.call {
                print!(", called at {call}");
            }
        }
        println!();
    }
    Ok(())
}
