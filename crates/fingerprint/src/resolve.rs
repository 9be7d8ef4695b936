//! Which files a path may mean. Where it is not precise, more is taken rather than less.

use crate::reach::{Extern, Reach};
use crate::scan::{Source, Target};
use crate::tree::Tree;

impl Tree {
    /// Everything that a file's paths lead to.
    pub(crate) fn reach(&self, source: &Source) -> Reach {
        let mut reach = Reach::default();
        source.paths.iter().for_each(|path| self.resolve(path, &mut reach));
        reach
    }

    /// Follows a path: to one file, or to a whole folder when it names an item that may stand for anything below.
    fn resolve(&self, path: &[String], reach: &mut Reach) {
        if !reach.followed.insert(path.to_vec()) {
            return;
        }
        for depth in (1..=path.len()).rev() {
            let module = &path[..depth];
            let Some(file) = self.modules.get(module) else { continue };
            if depth == path.len() {
                self.namesakes(path, reach);
            }
            let is_folder = depth == 1 || file.ends_with("/mod.rs");
            if !is_folder && !self.packages.is_interface(file) {
                reach.files.insert(file.clone());
                return;
            }
            // A folder's module, or an interface, which is not followed itself: only what it hands on counts.
            match path[depth..].split_first() {
                Some((name, rest)) if self.knows(file, name) => self.through(file, name, rest, reach),
                rest => {
                    if is_folder {
                        self.below(module, reach);
                    }
                    let source = &self.sources[file];
                    let all = source.exports.iter().filter(|_| rest.is_none());
                    for target in all.chain(&source.globs) {
                        self.target(file, target, &path[depth..], reach);
                    }
                }
            }
            return;
        }
        // A crate whose root other files cannot name.
        self.below(&path[..path.len().min(1)], reach);
    }

    /// A module and something else can have one name: `pub mod solve; pub use methods::solve;`.
    fn namesakes(&self, path: &[String], reach: &mut Reach) {
        let Some((name, above)) = path.split_last() else { return };
        let Some(file) = self.modules.get(above) else { return };
        for target in self.sources[file].imports.get(name).into_iter().flatten() {
            self.target(file, target, &[], reach);
        }
    }

    /// Whether a file tells what a name in it means: as an item of its own, or as something from elsewhere.
    fn knows(&self, file: &str, name: &str) -> bool {
        let source = &self.sources[file];
        source.items.contains(name)
            || source.imports.contains_key(name)
            || source.globs.iter().any(|glob| self.has(glob, name))
    }

    /// Whether a glob brings this name, as far as one look tells.
    fn has(&self, glob: &Target, name: &str) -> bool {
        let Target::Local(path) = glob else { return false };
        let child = [path.as_slice(), &[name.to_owned()]].concat();
        let own = self.modules.get(path).map(|file| &self.sources[file]);
        self.modules.contains_key(&child)
            || own.is_some_and(|own| own.items.contains(name) || own.imports.contains_key(name))
    }

    /// Goes on where a file's name leads.
    fn through(&self, file: &str, name: &str, rest: &[String], reach: &mut Reach) {
        let source = &self.sources[file];
        if source.items.contains(name) {
            reach.files.insert(file.to_owned());
        }
        for target in source.imports.get(name).into_iter().flatten() {
            self.target(file, target, rest, reach);
        }
        for glob in source.globs.iter().filter(|glob| self.has(glob, name)) {
            self.target(file, glob, &[&[name.to_owned()], rest].concat(), reach);
        }
    }

    fn target(&self, file: &str, target: &Target, rest: &[String], reach: &mut Reach) {
        match target {
            Target::Local(path) => self.resolve(&[path, rest].concat(), reach),
            Target::Extern(ident) => {
                let package = &self.packages.all[self.sources[file].package];
                reach.externs.insert(Extern { package: package.name.clone(), ident: ident.clone() });
            }
        }
    }

    /// Every file of a module and below it.
    fn below(&self, module: &[String], reach: &mut Reach) {
        let from = self.modules.range(module.to_vec()..);
        let below = from.take_while(|(other, _)| other.starts_with(module));
        reach.files.extend(below.map(|(_, file)| file.clone()));
    }
}
