//! A tree of translated sources: what a compilation unit includes, and a digest of all that can matter in it.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use rustc_hash::FxHashMap;

use super::BuildError;
use crate::cache::Digest;
use crate::lex::{DirectiveKind, Kind, TooLong, lex, significant_text};

/// Translated sources and the folders that their `<...>` includes are looked for in.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    include: Vec<PathBuf>,
    files: Mutex<FxHashMap<PathBuf, Option<File>>>,
}

/// What a file means to those that include it.
#[derive(Debug, Clone)]
struct File {
    /// Digest of the text without what a compiler ignores, `#line`s left out.
    code: Digest,
    /// The same with `#line`s.
    lines: Digest,
    /// Whether its code can tell on which line it stands.
    knows_lines: bool,
    /// What it includes, as it is spelled with its quotes or brackets.
    includes: Vec<String>,
}

/// The files of the project that one unit is made from.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The files, those of the tree first.
    pub files: Vec<PathBuf>,
    /// Digest of their names and of all in them that can matter.
    pub digest: Digest,
}

impl SourceTree {
    /// The tree in `root`; `include` are the folders of headers that aren't the toolchain's, such as the device
    /// header's.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, include: Vec<PathBuf>) -> Self {
        SourceTree {
            root: root.into(),
            include,
            files: Mutex::default(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folders for `<...>`.
    #[must_use]
    pub fn include(&self) -> &[PathBuf] {
        &self.include
    }

    /// Follows the includes of `unit`, a path below the root, through the tree and the include folders. Conditions
    /// are not looked at: a file that no compilation reads costs a needless build at worst.
    ///
    /// # Errors
    /// [`BuildError::Source`] if the unit can't be read, is not UTF-8 or is too long to be lexed.
    pub fn closure(&self, unit: &Path, debug_info: bool) -> Result<Closure, BuildError> {
        let mut open = vec![self.root.join(unit)];
        let mut found: Vec<(PathBuf, File)> = Vec::new();
        while let Some(path) = open.pop() {
            if found.iter().any(|(known, _)| *known == path) {
                continue;
            }
            let file = self.file(&path)?.ok_or_else(|| BuildError::Source {
                path: path.clone(),
                message: "no such file".to_owned(),
            })?;
            for spelled in &file.includes {
                if let Some(path) = self.resolve(spelled, &path)? {
                    open.push(path);
                }
            }
            found.push((path, file));
        }
        // By names and not by paths: the order must not depend on where the tree and the folders lie.
        found.sort_by_cached_key(|(path, _)| self.name(path));
        // `__LINE__` in a macro of a header stands for a line of the file that uses it, so one file decides for all.
        let lines = debug_info || found.iter().any(|(_, file)| file.knows_lines);
        let mut text = String::new();
        for (path, file) in &found {
            let digest = if lines { file.lines } else { file.code };
            text.push_str(&format!("{} {digest}\n", self.name(path)));
        }
        let files = found.into_iter().map(|(path, _)| path).collect();
        Ok(Closure {
            files,
            digest: Digest::of(text.as_bytes()),
        })
    }

    /// Whether the files of a closure still say what it was made from. They may be edited while they are compiled.
    ///
    /// # Errors
    /// [`BuildError::Source`] if one of them can't be read any more.
    pub fn is_unchanged(
        &self,
        unit: &Path,
        debug_info: bool,
        closure: &Closure,
    ) -> Result<bool, BuildError> {
        let now = SourceTree::new(&self.root, self.include.clone());
        Ok(now.closure(unit, debug_info)?.digest == closure.digest)
    }

    /// A name of the file that is the same wherever the project lies.
    fn name(&self, path: &Path) -> String {
        let roots = std::iter::once(&self.root).chain(&self.include);
        let below = roots.zip(0..).find_map(|(root, index)| {
            Some(format!(
                "{index}:{}",
                path.strip_prefix(root)
                    .ok()?
                    .to_string_lossy()
                    .replace('\\', "/")
            ))
        });
        below.unwrap_or_else(|| path.display().to_string())
    }

    /// The file of the project that an include means; `None` for the toolchain's.
    fn resolve(&self, spelled: &str, from: &Path) -> Result<Option<PathBuf>, BuildError> {
        let Some(name) = spelled.get(1..spelled.len().saturating_sub(1)) else {
            return Ok(None);
        };
        let beside = spelled.starts_with('"').then(|| from.parent()).flatten();
        for folder in beside
            .into_iter()
            .chain([self.root.as_path()])
            .chain(self.include.iter().map(PathBuf::as_path))
        {
            let path = normal(&folder.join(name));
            if self.file(&path)?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Reads a file once; `None` if there is none.
    fn file(&self, path: &Path) -> Result<Option<File>, BuildError> {
        let mut files = self
            .files
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(file) = files.get(path) {
            return Ok(file.clone());
        }
        let bad = |message: String| BuildError::Source {
            path: path.to_owned(),
            message,
        };
        let file = if path.is_file() {
            let bytes = fs::read(path).map_err(|e| bad(e.to_string()))?;
            let text = String::from_utf8(bytes).map_err(|e| bad(e.to_string()))?;
            Some(File::read(&text).map_err(|e| bad(e.to_string()))?)
        } else {
            None
        };
        files.insert(path.to_owned(), file.clone());
        Ok(file)
    }
}

impl File {
    fn read(text: &str) -> Result<Self, TooLong> {
        let lexed = lex(text)?;
        let mut includes = Vec::new();
        for directive in lexed
            .directives
            .iter()
            .filter(|d| d.kind == DirectiveKind::Include)
        {
            let mut tokens = lexed
                .operands(directive)
                .iter()
                .map(|index| lexed.token(*index));
            // A name made by a macro is left to the compiler's own list of what it read.
            let name = tokens.find(|token| matches!(token.kind, Kind::HeaderName | Kind::Str));
            includes.extend(name.map(|token| lexed.spelling(token).into_owned()));
        }
        let knows_lines = lexed
            .tokens
            .iter()
            .filter(|token| token.kind == Kind::Ident)
            .any(|token| {
                matches!(
                    &*lexed.spelling(*token),
                    "__LINE__" | "__FILE__" | "assert" | "source_location"
                )
            });
        Ok(File {
            code: Digest::of(significant_text(text, false)?.as_bytes()),
            lines: Digest::of(significant_text(text, true)?.as_bytes()),
            knows_lines,
            includes,
        })
    }
}

/// Takes `.` and `..` out of a path without looking at the disk.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// The files in a dependency file as compilers write it for make, the target left out.
pub(super) fn dependencies(text: &str) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\n')) => {
                chars.next();
                names.push(std::mem::take(&mut name));
            }
            ('\\', Some(' ' | '#')) | ('$', Some('$')) => name.extend(chars.next()),
            (c, _) if c.is_whitespace() => names.push(std::mem::take(&mut name)),
            (c, _) => name.push(c),
        }
    }
    names.push(name);
    let target = names
        .iter()
        .position(|name| name.ends_with(':'))
        .map_or(0, |index| index + 1);
    names
        .split_off(target)
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{SourceTree, dependencies};

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary folder");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("below a folder")).expect("temporary folder");
            fs::write(path, text).expect("temporary file");
        }
        dir
    }

    const FILES: &[(&str, &str)] = &[
        (
            "src/a.hip",
            "#include \"util/b.h\"\n#include <own/c.h>\n#include <cmath>\nint a; // a\n",
        ),
        ("src/util/b.h", "#include \"../d.h\"\nint b;\n"),
        ("src/d.h", "int d;\n"),
        ("src/unused.h", "int u;\n"),
        ("include/own/c.h", "#include \"d.h\"\nint c;\n"),
    ];

    fn digest(files: &[(&str, &str)], debug_info: bool) -> String {
        let dir = tree(files);
        let sources = SourceTree::new(dir.path().join("src"), vec![dir.path().join("include")]);
        sources
            .closure(Path::new("a.hip"), debug_info)
            .expect("readable")
            .digest
            .to_string()
    }

    fn with(name: &str, text: &'static str) -> Vec<(&'static str, &'static str)> {
        FILES
            .iter()
            .map(|(n, t)| (*n, if *n == name { text } else { *t }))
            .collect()
    }

    #[test]
    fn includes_are_followed_beside_the_file_and_in_the_folders() {
        let dir = tree(FILES);
        let sources = SourceTree::new(dir.path().join("src"), vec![dir.path().join("include")]);
        let closure = sources
            .closure(Path::new("a.hip"), false)
            .expect("readable");
        let names: Vec<_> = closure
            .files
            .iter()
            .map(|path| {
                path.strip_prefix(dir.path())
                    .expect("inside")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(
            names,
            ["src/a.hip", "src/d.h", "src/util/b.h", "include/own/c.h"]
        );
    }

    #[test]
    fn the_digest_sees_code_and_not_comments_folders_or_unused_files() {
        let original = digest(FILES, false);
        assert_eq!(digest(FILES, false), original, "another folder");
        assert_eq!(
            digest(
                &with("src/d.h", "/* new */ int  d;\n#line 7 \"x\"\n"),
                false
            ),
            original
        );
        assert_eq!(digest(&with("src/unused.h", "int v;\n"), false), original);
        assert_ne!(digest(&with("src/d.h", "int e;\n"), false), original);
        assert_ne!(
            digest(
                &with("include/own/c.h", "#include \"d.h\"\nlong c;\n"),
                false
            ),
            original
        );
    }

    #[test]
    fn the_digest_does_not_depend_on_which_folder_sorts_first() {
        let dir = tree(FILES);
        let digest = |src: &str, include: &str| {
            let move_to = |from: &str, to: &str| {
                fs::rename(dir.path().join(from), dir.path().join(to)).expect("moved");
            };
            move_to("src", src);
            move_to("include", include);
            let sources = SourceTree::new(dir.path().join(src), vec![dir.path().join(include)]);
            let closure = sources.closure(Path::new("a.hip"), false);
            move_to(src, "src");
            move_to(include, "include");
            closure.expect("readable").digest
        };
        assert_eq!(digest("1", "2"), digest("2", "1"));
    }

    #[test]
    fn lines_matter_to_debug_information_and_to_code_that_knows_them() {
        let moved = with("src/d.h", "#line 7 \"x\"\nint d;\n");
        assert_ne!(digest(&moved, true), digest(FILES, true));
        let knowing = |line: &'static str| {
            let mut files = with("src/d.h", line);
            files[1].1 = "#include \"../d.h\"\nint b = __LINE__;\n";
            digest(&files, false)
        };
        assert_ne!(
            knowing("#line 7 \"x\"\nint d;\n"),
            knowing("#line 8 \"x\"\nint d;\n")
        );
    }

    #[test]
    fn dependency_files() {
        let text = "out/a.o: a.hip /usr/include/x.h \\\n  /path\\ with/blank.h \\\n /odd$$\\#.h\n";
        let expected = [
            "a.hip",
            "/usr/include/x.h",
            "/path with/blank.h",
            "/odd$#.h",
        ]
        .map(PathBuf::from);
        assert_eq!(dependencies(text), expected);
    }
}
