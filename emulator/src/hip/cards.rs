//! The cards that the devices stand for: a table of figures from data sheets.
//!
//! Clients size their work by what a device says of itself, so each architecture says what a real card of it says. The
//! figures have no influence on how a kernel executes.

use codeobject::TargetId;

/// The figures of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// The processor.
    pub processor: &'static str,
    /// The name of a card that has it.
    pub name: &'static str,
    /// Multiprocessors as HIP counts them: compute units on GCN and CDNA, work-group processors on RDNA.
    pub multiprocessors: u32,
    /// Memory in MiB; for integrated devices what a machine usually gives them.
    pub memory_mib: u64,
    /// Peak clock in MHz.
    pub clock_mhz: u32,
    /// Memory clock in MHz.
    pub memory_clock_mhz: u32,
    /// Width of the memory bus in bits.
    pub bus_bits: u32,
    /// L2 cache in KiB.
    pub l2_kib: u32,
    /// Whether it shares the host's memory.
    pub integrated: bool,
}

macro_rules! cards {
    ($($processor:literal $name:literal $mp:literal $mem:literal $clock:literal $mclock:literal $bus:literal $l2:literal $kind:ident;)*) => {
        &[$(Card {
            processor: $processor,
            name: $name,
            multiprocessors: $mp,
            memory_mib: $mem,
            clock_mhz: $clock,
            memory_clock_mhz: $mclock,
            bus_bits: $bus,
            l2_kib: $l2,
            integrated: cards!(@ $kind),
        }),*]
    };
    (@ card) => { false };
    (@ apu) => { true };
}

// Processor, name, multiprocessors, memory (MiB), clock and memory clock (MHz), bus (bits), L2 (KiB).
static CARDS: &[Card] = cards! {
    "gfx900" "AMD Radeon RX Vega 64" 64 8176 1630 945 2048 4096 card;
    "gfx902" "AMD Radeon Vega 10 Graphics" 10 2048 1300 1200 128 1024 apu;
    "gfx904" "AMD Radeon Vega 12" 20 4080 1300 1000 1024 2048 card;
    "gfx906" "AMD Instinct MI50" 60 16368 1725 1000 4096 4096 card;
    "gfx908" "AMD Instinct MI100" 120 32752 1502 1200 4096 8192 card;
    "gfx909" "AMD Radeon Vega 8 Graphics" 8 2048 1200 1200 128 1024 apu;
    "gfx90a" "AMD Instinct MI210" 104 65520 1700 1600 4096 8192 card;
    "gfx90c" "AMD Radeon Graphics" 8 2048 2000 1600 128 1024 apu;
    "gfx940" "AMD Instinct MI300A" 228 131072 2100 1300 8192 4096 apu;
    "gfx941" "AMD Instinct MI300X" 304 196592 2100 1300 8192 4096 card;
    "gfx942" "AMD Instinct MI300X" 304 196592 2100 1300 8192 4096 card;
    "gfx950" "AMD Instinct MI350X" 256 294896 2200 2000 8192 4096 card;
    "gfx1010" "AMD Radeon RX 5700 XT" 20 8176 1905 875 256 4096 card;
    "gfx1011" "AMD Radeon Pro V520" 18 8176 1600 1000 2048 4096 card;
    "gfx1012" "AMD Radeon RX 5500 XT" 11 8176 1845 875 128 2048 card;
    "gfx1013" "AMD BC-250" 12 8192 2000 1750 256 2048 apu;
    "gfx1030" "AMD Radeon RX 6800 XT" 36 16368 2250 1000 256 4096 card;
    "gfx1031" "AMD Radeon RX 6700 XT" 20 12272 2581 1000 192 3072 card;
    "gfx1032" "AMD Radeon RX 6600 XT" 16 8176 2589 1000 128 2048 card;
    "gfx1033" "AMD Custom GPU 0405" 4 4096 1600 2750 128 1024 apu;
    "gfx1034" "AMD Radeon RX 6500 XT" 8 4080 2815 1124 64 1024 card;
    "gfx1035" "AMD Radeon 680M" 6 8192 2400 2400 128 2048 apu;
    "gfx1036" "AMD Radeon Graphics" 1 8192 2200 2400 128 256 apu;
    "gfx1100" "AMD Radeon RX 7900 XTX" 48 24560 2482 1249 384 6144 card;
    "gfx1101" "AMD Radeon RX 7800 XT" 30 16368 2430 1218 256 4096 card;
    "gfx1102" "AMD Radeon RX 7600" 16 8176 2655 1124 128 2048 card;
    "gfx1103" "AMD Radeon 780M" 6 16384 2700 2800 128 2048 apu;
    "gfx1150" "AMD Radeon 890M" 8 16384 2900 4000 128 2048 apu;
    "gfx1151" "AMD Radeon 8060S" 20 65536 2900 4000 256 2048 apu;
    "gfx1152" "AMD Radeon 860M" 4 16384 3000 4000 128 1024 apu;
    "gfx1153" "AMD Radeon 840M" 2 8192 2900 4000 128 1024 apu;
    "gfx1200" "AMD Radeon RX 9060 XT" 16 16304 3130 1258 128 4096 card;
    "gfx1201" "AMD Radeon RX 9070 XT" 32 16304 2970 1258 256 8192 card;
};

/// The figures for processors that no card in the table has.
static UNKNOWN: Card = Card {
    processor: "",
    name: "AMD GPU",
    multiprocessors: 32,
    memory_mib: 16 << 10,
    clock_mhz: 2000,
    memory_clock_mhz: 1000,
    bus_bits: 256,
    l2_kib: 4096,
    integrated: false,
};

/// The card that a device of this processor stands for.
pub fn card(target: &TargetId) -> &'static Card {
    CARDS
        .iter()
        .find(|card| card.processor == target.processor)
        .unwrap_or(&UNKNOWN)
}

/// Whether multiprocessors are work-group processors of two compute units.
pub fn has_workgroup_processors(target: &TargetId) -> bool {
    target
        .family()
        .is_some_and(|family| family.gfx_major() >= 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_has_a_known_processor_and_only_one_line() {
        for (index, entry) in CARDS.iter().enumerate() {
            let target = TargetId::new(entry.processor);
            assert!(target.known().is_some(), "{}", entry.processor);
            assert!(!target.is_generic());
            assert!(
                CARDS[..index]
                    .iter()
                    .all(|other| other.processor != entry.processor)
            );
            assert_eq!(card(&target), entry);
        }
    }
}
