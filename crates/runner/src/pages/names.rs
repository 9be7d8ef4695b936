//! Names of tasks, taken apart, and as words of commands; and of places on a page.

use crate::pipeline::files::folder_of_project;
use crate::store::objects::Content;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

/// The point of a sweep and the stage that a task belongs to: `tubes=40`, `motion` of `tubes=40/motion[system=free]`.
pub fn point_and_stage(task: &str) -> (&str, &str) {
    // A label may hold anything, and so may a value of a point.
    let name = match task.strip_suffix(']').and_then(|inside| inside.split_once('[')) {
        Some((before, _)) => before,
        None => task,
    };
    name.rsplit_once('/').unwrap_or(("", name))
}

/// What an element of the page is called: a letter and digits, whatever the name is.
pub fn anchor(kind: &str, number: usize) -> String {
    format!("{kind}-{number}")
}

/// How many digits of an artifact's digest are its place on a page, as the marks of `onsager.sty` have it.
const DIGITS: usize = 7;

/// The places of artifacts on a page, which links from a text lead to: the first digits of the digest, each once.
#[derive(Default)]
pub struct Places(RefCell<HashSet<String>>);

impl Places {
    /// What an element is called that tells of this artifact; nothing where another one does already.
    pub fn once(&self, content: &Content) -> Option<String> {
        let mut place = content.digest.to_string();
        place.truncate(DIGITS);
        self.0.borrow_mut().insert(place.clone()).then_some(place)
    }
}

/// A word as a shell reads it, in quotes only where it must be.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=,:@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The file of a pipeline from the project's folder on, as a word of a command that is given there.
pub fn pipeline_word(file: &Path) -> String {
    let within = file.strip_prefix(folder_of_project(file)).unwrap_or(file);
    shell_word(&within.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_belongs_to_a_stage_of_a_point() {
        for (task, expected) in [
            ("law", ("", "law")),
            ("motion[system=free,path=a/b]", ("", "motion")),
            ("tubes=40,seed=1/motion[system=free]", ("tubes=40,seed=1", "motion")),
        ] {
            assert_eq!(point_and_stage(task), expected, "{task}");
        }
        assert_eq!(shell_word("a=1/law"), "a=1/law");
        assert_eq!(shell_word("law[system=it's]"), r"'law[system=it'\''s]'");
    }

    #[test]
    fn a_pipeline_is_named_from_the_projects_folder_on() {
        for (file, expected) in [
            ("/home/me/p/experiments/quickstart.yaml", "experiments/quickstart.yaml"),
            ("../pipelines/a.yaml", "pipelines/a.yaml"),
            ("p/pipeline.yaml", "pipeline.yaml"),
            ("a b.yaml", "'a b.yaml'"),
        ] {
            assert_eq!(pipeline_word(Path::new(file)), expected);
        }
    }
}
