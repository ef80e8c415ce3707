//! Properties that hold for any bytes, and for files that end too early.

use codeobject::bundle::{Bundle, Compression, EntryId, Writer, compress, find};
use codeobject::{CodeObject, Error, Extent, Feature, TargetId, processor::PROCESSORS};
use proptest::prelude::*;

const CODE_OBJECTS: [&[u8]; 3] = [
    include_bytes!("../corpus/gfx1100.bin"),
    include_bytes!("../corpus/gfx90a.bin"),
    include_bytes!("../corpus/gfx11-generic.bin"),
];

fn feature() -> impl Strategy<Value = Feature> {
    prop_oneof![Just(Feature::Any), Just(Feature::On), Just(Feature::Off)]
}

prop_compose! {
    fn target()(processor in 0..PROCESSORS.len(), sramecc in feature(), xnack in feature()) -> TargetId {
        let processor = &PROCESSORS[processor];
        TargetId {
            processor: processor.name.to_owned(),
            sramecc: if processor.sramecc { sramecc } else { Feature::Any },
            xnack: if processor.xnack { xnack } else { Feature::Any },
        }
    }
}

proptest! {
    #[test]
    fn target_ids_round_trip(target in target()) {
        prop_assert_eq!(target.to_string().parse::<TargetId>(), Ok(target.clone()));
        prop_assert_eq!(EntryId::hip(&target).to_string().parse::<EntryId>().unwrap().target, Some(target));
    }

    #[test]
    fn supports_is_reflexive_and_widening_keeps_support(code in target(), device in target()) {
        prop_assert!(device.supports(&device));
        if code.supports(&device) {
            let wide = TargetId { sramecc: Feature::Any, xnack: Feature::Any, ..code.clone() };
            prop_assert!(wide.supports(&device));
            prop_assert!(wide.specificity() <= code.specificity());
        }
    }

    #[test]
    fn any_text_is_a_target_id_or_an_error(text in "\\PC{0,40}") {
        if let Ok(target) = text.parse::<TargetId>() {
            prop_assert_eq!(target.to_string().parse(), Ok(target));
        }
        if let Ok(id) = text.parse::<EntryId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn bundles_round_trip(
        entries in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..600), 0..8),
        alignment in 0_usize..5000,
        level in 1..4,
        padding in 0_usize..50,
    ) {
        let mut writer = Writer::new().align(alignment);
        for (name, data) in &entries {
            let id = format!("hipv4-amdgcn-amd-amdhsa--gfx90a-{name}");
            writer = writer.add_entry(id.parse().unwrap(), data);
        }
        let plain = writer.to_vec().unwrap();
        let compressed = writer.to_compressed_vec(Compression { level }).unwrap();
        for bytes in [&plain, &compressed] {
            let mut bytes = bytes.clone();
            let len = bytes.len() as u64;
            bytes.resize(bytes.len() + padding, 0);
            let bundle = Bundle::parse(&bytes).unwrap();
            prop_assert_eq!(bundle.as_bytes()[..plain.len()].to_vec(), plain.clone());
            prop_assert_eq!(bundle.entries().len(), entries.len() + 1);
            for (entry, data) in bundle.entries().skip(1).zip(entries.values()) {
                prop_assert_eq!(entry.data, data);
                prop_assert!(data.is_empty() || entry.offset % alignment.max(1) == 0);
            }
            // The end of a bundle whose last entries are empty lies before their place.
            let Extent::Complete(end) = Extent::of(&bytes).unwrap() else { panic!("all of it is there") };
            prop_assert!(end <= len);
            let found = find(&bytes);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].offset, found[0].bytes.len() as u64), (0, end));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0_usize..4) {
        let magic: [&[u8]; 4] = [b"", b"__CLANG_OFFLOAD_BUNDLE__", b"CCOB\x02\0\x01\0", b"\x7fELF\x02\x01\x01\x40\x03"];
        let bytes = [magic[start], &bytes].concat();
        let _ = Bundle::parse(&bytes);
        let _ = CodeObject::parse(&bytes);
        let _ = find(&bytes);
        if let Ok(Extent::NeedsAtLeast(more)) = Extent::of(&bytes) {
            prop_assert!(more > bytes.len() as u64);
        }
    }
}

#[test]
fn code_objects_that_end_too_early_are_refused() {
    for bytes in CODE_OBJECTS {
        let code_object = CodeObject::parse(bytes).unwrap();
        assert_eq!(code_object.kernels().len(), 3);
        assert_eq!(Extent::of(bytes), Ok(Extent::Complete(bytes.len() as u64)));
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            assert!(CodeObject::parse(cut).is_err(), "{len} of {}", bytes.len());
            match Extent::of(cut) {
                Ok(Extent::Complete(all)) => assert_eq!(all, bytes.len() as u64),
                Ok(Extent::NeedsAtLeast(more)) => {
                    assert!(more > len as u64 && more <= bytes.len() as u64)
                }
                Err(error) => panic!("{len}: {error}"),
            }
        }
    }
}

#[test]
fn bundles_that_end_too_early_are_refused() {
    let bytes = Writer::new()
        .align(16)
        .add("gfx1100".parse().unwrap(), CODE_OBJECTS[0])
        .to_vec()
        .unwrap();
    let compressed = compress(&bytes, Compression::default()).unwrap();
    for bytes in [bytes, compressed] {
        assert!(Bundle::parse(&bytes).is_ok());
        for len in 0..bytes.len() {
            assert!(Bundle::parse(&bytes[..len]).is_err(), "{len}");
        }
    }
}

#[test]
fn what_is_no_code_object_is_named() {
    let refused = |bytes: &[u8]| CodeObject::parse(bytes).unwrap_err().to_string();
    assert_eq!(
        refused(b""),
        "this is not an AMDGPU code object (ELF): it starts with nothing: it is empty"
    );
    assert_eq!(
        refused(b"BC\xc0\xde, bitcode"),
        "this is not an AMDGPU code object (ELF): it starts with \"BC\\xc0\\xde, bi\""
    );
    let with = |at: usize, value: u8| {
        let mut bytes = CODE_OBJECTS[0].to_vec();
        bytes[at] = value;
        refused(&bytes)
    };
    assert_eq!(
        with(18, 62),
        "the ELF machine is 62, expected 224 (EM_AMDGPU)"
    );
    assert_eq!(
        with(7, 0),
        "the ELF OS ABI is 0, expected 64 (ELFOSABI_AMDGPU_HSA)"
    );
    assert_eq!(
        with(8, 0),
        "the ELF ABI version is 0, expected 1 to 4 (code object version 3 to 6)"
    );
    assert_eq!(
        with(48, 0xfe),
        // The metadata's own target is a name that is known, but a number that is not wins: no guess between them.
        "EF_AMDGPU_MACH in the ELF flags is 0xfe, expected the number of a known AMDGPU processor"
    );
    assert!(matches!(
        Bundle::parse(CODE_OBJECTS[0]),
        Err(Error::Magic { .. })
    ));
}
