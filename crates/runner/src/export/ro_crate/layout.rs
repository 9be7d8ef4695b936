//! Where what a run stands on lies in a crate: results by the names of their tasks, the project's files where the project has them.

use crate::pages::made::{Made, Origin};
use crate::pages::names::point_and_stage;
use crate::pipeline::files::project_root;
use crate::run::account::Account;
use crate::run::description::Description;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::archive::{Member, Source};
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::listing::Listed;
use crate::store::names;
use crate::store::objects::{Content, Shape};
use crate::store::short::short;
use crate::store::zip::Packed;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The folder of the results.
const RESULTS: &str = "results";
/// The folder of files of a pipeline that lie outside of the project.
const ELSEWHERE: &str = "elsewhere";

/// An output of a task.
#[derive(Debug)]
pub struct Result {
    pub task: String,
    pub stage: String,
    pub output: String,
    pub content: Content,
    /// Where the file or the folder is.
    pub path: String,
    /// The file, or those in the folder.
    pub files: Vec<Held>,
}

/// A file of a result.
#[derive(Debug, Clone)]
pub struct Held {
    pub path: String,
    pub digest: Digest,
    pub size: u64,
    pub executable: bool,
}

/// A file or a folder that no task made.
#[derive(Debug)]
pub struct Input {
    /// As the pipeline calls it.
    pub called: String,
    pub digest: Digest,
    /// Whether it is a folder.
    pub folder: bool,
    /// Where it lies in the crate, with its size, where the project still has what the run read.
    pub held: Option<Held>,
    /// Where it lies in the project.
    file: PathBuf,
}

/// A file of the pipeline.
#[derive(Debug)]
pub struct Text {
    pub path: String,
    pub text: Vec<u8>,
}

/// The tasks that have a result, one for each key: in a sweep many share it. With each the others that it stands for.
pub fn tasks(account: &Account, actions: &BTreeMap<String, Action>) -> Vec<(String, Vec<String>)> {
    let place: HashMap<&str, usize> =
        account.order.iter().enumerate().map(|(at, task)| (task.as_str(), at)).collect();
    let mut ordered: Vec<&String> = actions.keys().collect();
    ordered.sort_by_key(|task| (place.get(task.as_str()).copied().unwrap_or(usize::MAX), *task));
    let mut first: HashMap<Digest, usize> = HashMap::new();
    let mut tasks: Vec<(String, Vec<String>)> = Vec::new();
    for task in ordered {
        match first.get(&actions[task].key) {
            Some(at) => tasks[*at].1.push(task.clone()),
            None => {
                first.insert(actions[task].key, tasks.len());
                tasks.push((task.clone(), Vec::new()));
            }
        }
    }
    tasks
}

/// The results of these tasks.
pub fn results<'t>(
    store: &Store,
    tasks: impl Iterator<Item = (&'t str, &'t Action)>,
    description: &Description,
) -> std::result::Result<Vec<Result>, StoreError> {
    let mut results = Vec::new();
    for (task, action) in tasks {
        let (point, stage) = point_and_stage(task);
        let named = description.stage(stage);
        for (output, content) in action.outputs.iter().filter(|(_, content)| !content.is_absent()) {
            let file = named.and_then(|stage| stage.outputs.iter().find(|(name, _)| name == output));
            let path = format!(
                "{}/{}",
                folder(task, point, stage),
                file.map_or(output.as_str(), |(_, file)| file.trim_end_matches('/'))
            );
            let files = match content.shape {
                Shape::Folder => inside(store, &path, content)?,
                _ => vec![Held {
                    path: path.clone(),
                    digest: content.digest,
                    size: content.size,
                    executable: content.shape == Shape::Executable,
                }],
            };
            let (stage, output) = (stage.to_owned(), output.clone());
            results.push(Result { task: task.to_owned(), stage, output, content: *content, path, files });
        }
    }
    Ok(results)
}

/// `results/tubes=40/motion/system=free`.
fn folder(task: &str, point: &str, stage: &str) -> String {
    let mut parts = vec![RESULTS.to_owned()];
    parts.extend((!point.is_empty()).then(|| short(point)));
    parts.push(stage.to_owned());
    let instance = task.strip_suffix(']').and_then(|task| task.split_once('['));
    parts.extend(instance.map(|(_, instance)| short(instance)));
    parts.join("/")
}

/// The files of a folder whose names are texts; what else it holds is with the store's objects only.
fn inside(store: &Store, path: &str, content: &Content) -> std::result::Result<Vec<Held>, StoreError> {
    let entries = store.objects().entries(&content.digest)?;
    let files = entries.iter().filter_map(|entry| match entry.what {
        Listed::File { digest, size, executable } => {
            Some(Held { path: format!("{path}/{}", entry.path.to_str()?), digest, size, executable })
        }
        Listed::Folder | Listed::Link(_) => None,
    });
    Ok(files.collect())
}

/// The files that the pipeline was read from, as they were: the one that was run first.
pub fn texts(
    store: &Store,
    account: &Account,
    description: &Description,
) -> std::result::Result<Vec<Text>, StoreError> {
    let mut texts: Vec<Text> = Vec::new();
    for (path, digest) in &description.files {
        let Some(text) = store.manifests().text(digest)? else { continue };
        let path = match path.to_str().filter(|_| names::check(path).is_ok()) {
            Some(path) => path.to_owned(),
            None => format!("{ELSEWHERE}/{}", path.file_name().unwrap_or_default().to_string_lossy()),
        };
        if !texts.iter().any(|other| other.path == path) {
            texts.push(Text { path, text });
        }
    }
    // Of a run whose record tells the one file only.
    if texts.is_empty()
        && let Some(text) =
            account.source.map(|digest| store.manifests().text(&digest)).transpose()?.flatten()
    {
        texts.push(Text { path: "pipeline.yaml".into(), text });
    }
    Ok(texts)
}

/// The folder of the run's project; none where the record does not tell.
pub fn root(account: &Account) -> Option<PathBuf> {
    account.facts.as_ref().map(|facts| project_root(&Path::new(&facts.folder).join(&account.file)))
}

/// What the run's tasks read that no task made. Those files are held that the project still has as they were; without its folder none.
pub fn inputs(root: Option<&Path>, made: &Made, tasks: &[(String, Vec<String>)]) -> Vec<Input> {
    let mut seen = HashSet::new();
    let mut inputs = Vec::new();
    let records = tasks.iter().filter_map(|(task, _)| made.record(task));
    for input in records.flat_map(|record| &record.inputs).filter(|input| input.origin == Origin::Outside) {
        let Some(digest) = input.digest.filter(|digest| seen.insert((input.called.clone(), *digest))) else {
            continue;
        };
        let relative = Path::new(&input.called);
        let file = root.filter(|_| names::check(relative).is_ok()).map(|root| root.join(relative));
        let data = file.as_ref().and_then(|file| fs::metadata(file).ok());
        let size = data.filter(fs::Metadata::is_file).filter(|_| {
            file.as_ref().is_some_and(|file| Digest::of_file(file).is_ok_and(|(found, _)| found == digest))
        });
        let held = size.map(|data| Held {
            path: input.called.clone(),
            digest,
            size: data.len(),
            executable: data.permissions().mode() & 0o100 != 0,
        });
        let folder = input.content.ends_with("(folder)");
        let file = file.unwrap_or_default();
        inputs.push(Input { called: input.called.clone(), digest, folder, held, file });
    }
    inputs
}

/// The files of the zip, in the order of their places, each place once.
#[derive(Debug, Default)]
pub struct Files {
    files: Vec<Packed>,
    taken: HashSet<String>,
}

impl Files {
    /// Adds a text of ours.
    pub fn text(&mut self, path: &str, bytes: Vec<u8>) {
        let member = Member { name: path.to_owned(), size: bytes.len() as u64, digest: Digest::of(&bytes) };
        self.add(Packed { member, source: Source::Bytes(bytes), executable: false });
    }

    /// Adds a folder: there may be nothing in it.
    pub fn folder(&mut self, path: &str) {
        self.text(&format!("{path}/"), Vec::new());
    }

    /// Adds a member of the store's archive.
    pub fn member(&mut self, member: Member, source: Source) {
        self.add(Packed { member, source, executable: false });
    }

    /// Adds a file of a result, out of the store.
    pub fn held(&mut self, store: &Store, held: &Held) -> bool {
        self.file(held, store.objects().path(&held.digest))
    }

    /// Adds a file of the project.
    pub fn input(&mut self, input: &Input) -> bool {
        input.held.as_ref().is_some_and(|held| self.file(held, input.file.clone()))
    }

    fn file(&mut self, held: &Held, path: PathBuf) -> bool {
        let member = Member { name: held.path.clone(), size: held.size, digest: held.digest };
        self.add(Packed { member, source: Source::File(path), executable: held.executable })
    }

    /// Whether its place was free.
    fn add(&mut self, packed: Packed) -> bool {
        let free = self.taken.insert(packed.member.name.clone());
        if free {
            self.files.push(packed);
        }
        free
    }

    pub fn into_inner(self) -> Vec<Packed> {
        self.files
    }
}
