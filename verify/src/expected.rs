//! The kernels that a module must have.
//!
//! A code object lists what is in it, not what is missing. A preprocessor guard that was answered wrongly leaves kernels
//! out without a word, so a release of candle-kernels stands here with the symbols that its CUDA build has.

/// A release, as the origin of a bundle names it, and its kernels: a module and a symbol a line.
const RELEASES: [(&str, &str); 1] = [(
    "candle-kernels 0.11.1",
    include_str!("../data/kernels-0.11.1.txt"),
)];

/// The kernels of a module in the CUDA build of a release; none for a release that is not listed.
pub(crate) fn kernels<'a>(
    origin: Option<&'a str>,
    module: &'a str,
) -> impl Iterator<Item = &'a str> {
    RELEASES
        .into_iter()
        .filter(move |(release, _)| origin == Some(*release))
        .flat_map(|(_, list)| list.lines())
        .filter_map(move |line| {
            let (in_module, symbol) = line.split_once(' ')?;
            (in_module == module).then_some(symbol)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    #[test]
    fn every_kernel_of_a_release_has_a_check() {
        for (release, list) in RELEASES {
            for line in list.lines().filter(|line| !line.starts_with('#')) {
                let (_, symbol) = line.split_once(' ').expect("a module and a symbol");
                assert!(
                    families::plan(symbol).is_some(),
                    "{release}: nothing checks {symbol}"
                );
            }
        }
    }

    #[test]
    fn quantized_has_142_kernels() {
        let release = Some("candle-kernels 0.11.1");
        assert_eq!(kernels(release, "quantized").count(), 142);
        assert_eq!(kernels(None, "quantized").count(), 0);
    }
}
