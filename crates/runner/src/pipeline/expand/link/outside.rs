//! What no stage makes: files, patterns, addresses, tools and environments.

use crate::command::environment::{FILES, LOCK, uv_files};
use crate::kind::fields::Field;
use crate::pipeline::expand::apart;
use crate::pipeline::expand::draft::Draft;
use crate::pipeline::expand::instance::is_name;
use crate::pipeline::expand::link::Linker;
use crate::pipeline::graph::Source;
use crate::pipeline::spec::{self, Stage};
use crate::pipeline::yaml::node::Yaml;
use crate::pipeline::yaml::sink::Span;
use crate::store::chosen::{self, Chosen};
use crate::store::walk;

impl Linker<'_> {
    /// Something that no stage makes.
    pub(super) fn outside(&mut self, reference: &spec::Reference, draft: &Draft) -> Option<Source> {
        match reference {
            spec::Reference::Artifact(..) => None,
            spec::Reference::Remote { url, sha256 } => self.remote(*url, *sha256, draft),
            spec::Reference::File { text, span, glob, exclude } => {
                let patterns = exclude.iter().map(|&(text, span)| self.text(text, span, draft));
                let exclude: Vec<String> = patterns.collect::<Option<_>>()?;
                match glob {
                    true => self.pattern(text, *span, exclude, draft),
                    false => self.file(text, *span, exclude, draft),
                }
            }
        }
    }

    /// The files that a pattern finds.
    fn pattern(&mut self, written: &str, span: Span, exclude: Vec<String>, draft: &Draft) -> Option<Source> {
        let pattern = self.text(written, span, draft)?;
        let (folder, only) = chosen::split(&pattern);
        if pattern.starts_with('~') || only.is_empty() || only.contains("../") {
            let help = "write a pattern from the project's folder on, like `data/**/*.csv`";
            self.sink.help(span, format!("`{pattern}` is no pattern of files"), help);
            return None;
        }
        // Patterns of paths are written as the glob is: from the project's folder on.
        let relative = |pattern: String| {
            let (sign, own) = pattern.strip_prefix('!').map_or(("", pattern.as_str()), |own| ("!", own));
            match own.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) if !folder.is_empty() => format!("{sign}/{rest}"),
                _ => pattern,
            }
        };
        // A pattern over the whole project does not find what the project makes.
        let own = folder.is_empty().then(|| "/artifacts".to_owned());
        let exclude = own.into_iter().chain(exclude.into_iter().map(relative)).collect();
        let path = if folder.is_empty() { self.root.to_owned() } else { self.root.join(folder) };
        let chosen = Chosen { path, only: Some(only.to_owned()), exclude };
        if let Err(error) = apart::check(&chosen, folder, &self.root.join("artifacts"), self.spec.name) {
            self.sink.help(span, error.to_string(), error.help());
            return None;
        }
        let found = match self.found.get(&chosen) {
            Some(found) => *found,
            None => {
                let found = walk::finds_any(&chosen);
                self.found.insert(chosen.clone(), found);
                found
            }
        };
        if !found {
            let help = format!(
                "create one, or correct the pattern, which starts at {}; `*` stays in one folder, `**` goes into all below",
                self.root.display()
            );
            self.sink.help(span, format!("no file matches `{pattern}`"), help);
            return None;
        }
        Some(Source::File { chosen, name: folder.to_owned() })
    }

    /// A file from elsewhere.
    fn remote(&mut self, url: (&str, Span), sha256: (&str, Span), draft: &Draft) -> Option<Source> {
        let address = self.text(url.0, url.1, draft)?;
        let digest = self.text(sha256.0, sha256.1, draft)?;
        let known = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        if !known || address.contains(char::is_whitespace) {
            self.sink.help(
                url.1,
                format!("`{address}` is no address"),
                "write one that starts with `https://` or `http://`",
            );
            return None;
        }
        match digest.to_ascii_lowercase().parse() {
            Ok(sha256) => Some(Source::Remote { url: address, sha256 }),
            Err(_) => {
                let help = "give its 64 hexadecimal digits; `curl -L URL | sha256sum` prints them";
                self.sink.help(sha256.1, format!("`{digest}` is no SHA-256"), help);
                None
            }
        }
    }

    /// What a command is computed with: its tools, and the file of its environment.
    pub(super) fn computed_with(&mut self, stage: &Stage, draft: &Draft) -> Vec<(String, Vec<Source>)> {
        let entries = |field: Field| {
            let entry = stage.node.get(field.name()).filter(|_| stage.fields.has(field));
            entry.and_then(|entry| entry.value.entries()).unwrap_or_default()
        };
        let mut inputs = Vec::new();
        for entry in entries(Field::Environment).iter().filter(|entry| FILES.contains(&entry.key.as_str())) {
            let Some(path) = entry.value.text() else { continue };
            let mut source = self.file(path, entry.value.span, Vec::new(), draft);
            if entry.key == "uv" {
                source = source.and_then(|source| self.uv_project(source, entry.value.span));
            }
            inputs.push((format!("environment.{}", entry.key), source.into_iter().collect()));
        }
        for entry in entries(Field::Tools) {
            if !is_name(&entry.key) {
                let help = "use letters, digits, `_` and `-`, starting with a letter";
                self.sink.help(entry.span, format!("`{}` cannot be the name of a tool", entry.key), help);
                continue;
            }
            let source = match &entry.value.value {
                Yaml::Text(text) if !text.trim().is_empty() => {
                    self.text(text, entry.value.span, draft).map(|command| Source::Tool { command })
                }
                Yaml::Map(fields) if fields.iter().all(|field| field.key == "file") && !fields.is_empty() => {
                    spec::read_outside(
                        &entry.value,
                        fields,
                        &format!("tool `{}`", entry.key),
                        entry.span,
                        self.sink,
                    )
                    .and_then(|reference| self.outside(&reference, draft))
                }
                _ => {
                    let message = format!("tool `{}` cannot be {}", entry.key, entry.value.what());
                    let help = "write a command that tells its version, `python3 --version`, or `{file: /usr/bin/solver}`";
                    self.sink.help(spec::shown(entry), message, help);
                    None
                }
            };
            inputs.push((format!("tools.{}", entry.key), source.into_iter().collect()));
        }
        inputs
    }

    /// A `uv.lock` with the files beside it that say what is installed, too.
    fn uv_project(&self, source: Source, span: Span) -> Option<Source> {
        let Source::File { chosen, name } = source else { return None };
        match (chosen.path.file_name(), chosen.path.parent()) {
            (Some(file), Some(folder)) if file == LOCK => {
                Some(Source::File { chosen: uv_files(folder), name })
            }
            _ => {
                let help = format!("write `uv: folder/{LOCK}`; `uv lock` makes it");
                self.sink.help(span, format!("`{name}` is not called `{LOCK}`"), help);
                None
            }
        }
    }

    fn file(&mut self, written: &str, span: Span, exclude: Vec<String>, draft: &Draft) -> Option<Source> {
        let name = self.text(written, span, draft)?;
        if name.starts_with('~') {
            let help = "write the absolute path, or one relative to the project";
            self.sink.help(span, format!("`~` is not expanded in `{name}`"), help);
            return None;
        }
        let path = self.root.join(&name);
        let exists = match self.exists.get(&path) {
            Some(&exists) => exists,
            None => {
                let exists = path.exists();
                self.exists.insert(path.clone(), exists);
                exists
            }
        };
        if !exists {
            let help = format!("create it, or correct the path, which starts at {}", self.root.display());
            self.sink.help(span, format!("there is no file or folder {}", path.display()), help);
            return None;
        }
        if !exclude.is_empty() && path.is_file() {
            self.sink.help(
                span,
                format!("`{name}` is a file, from which nothing can be excluded"),
                "remove `exclude`",
            );
            return None;
        }
        let chosen = Chosen { path, only: None, exclude };
        if let Err(error) = apart::check(&chosen, &name, &self.root.join("artifacts"), self.spec.name) {
            self.sink.help(span, error.to_string(), error.help());
            return None;
        }
        Some(Source::File { chosen, name })
    }
}
