//! The shipped quickstart goes from one project to another through a remote store: nothing is computed twice, and what is missing there is
//! computed again, and nothing else.

mod common;

use common::servers::{Place, files, onsager, proxy, shared_moto};
use common::{Project, Ran, names, shipped};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

const FILE: &str = "experiments/quickstart.yaml";

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

fn run(project: &Project, arguments: &[&str]) -> Value {
    let ran = onsager(project, &[&["run", FILE, "--json"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    document(&ran)
}

/// The digests of all outputs, by task and output.
fn digests(document: &Value) -> Vec<(String, Value)> {
    let tasks = document["outputs"].as_object().expect("outputs").iter();
    let outputs = tasks.flat_map(|(task, outputs)| {
        let outputs = outputs.as_object().expect("outputs").iter();
        outputs.map(move |(name, output)| (format!("{task}.{name}"), output["digest"].clone()))
    });
    outputs.collect()
}

/// The objects that the outputs of a task consist of.
fn objects_of(project: &Project, outputs: &Value) -> BTreeSet<String> {
    let mut objects = BTreeSet::new();
    for output in outputs.as_object().expect("outputs").values() {
        let Some(digest) = output["digest"].as_str() else { continue };
        let object = project.path(&format!("artifacts/.onsager/objects/{}/{}", &digest[..2], &digest[2..]));
        let bytes = fs::read(object).expect("an object");
        if let Some(list) = bytes.strip_prefix(b"onsager folder\n") {
            let list: Value = serde_json::from_slice(list).expect("a list");
            let files = list.as_array().expect("a list").iter().filter_map(|file| file["digest"].as_str());
            objects.extend(files.map(str::to_owned));
        }
        objects.insert(digest.to_owned());
    }
    objects
}

/// The objects of a store.
fn objects(project: &Project) -> BTreeSet<String> {
    let all = files(&project.path("artifacts/.onsager/objects"));
    all.iter().map(|path| path.display().to_string().replace('/', "")).collect()
}

#[test]
fn nothing_is_computed_twice_and_what_is_missing_is_computed_again() {
    if !cfg!(feature = "science") {
        return;
    }
    let one = shipped();
    let made = run(&one, &["--no-remote"]);
    let mut places = vec![("a folder", Place::folder())];
    let mut proxies = Vec::new();
    if let Some(moto) = shared_moto() {
        places.push(("moto", Place::bucket(moto, moto.port)));
        let proxy = proxy(moto);
        proxy.faults(json!([{"kind": "strip"}]));
        places.push(("moto without conditional create", Place::bucket(moto, proxy.port)));
        proxies.push(proxy);
    }
    places.extend(Place::given().map(|given| ("the given server", given)));
    for (name, place) in &places {
        println!("{name}");
        place.add_to(&one);
        let pushed = onsager(&one, &["push", FILE]);
        assert_eq!(pushed.status, 0, "{name}: {} {}", pushed.stdout, pushed.stderr);
        let checked = document(&onsager(&one, &["remote", "check", "--json"]));
        let records = if name.contains("without") { "by-content" } else { "by-key" };
        assert_eq!(checked["records"], records, "{name}");

        let other = shipped();
        place.add_to(&other);
        let taken = run(&other, &[]);
        assert_eq!(names(&taken["tasks"]["executed"]), Vec::<String>::new(), "{name}");
        assert_eq!(digests(&made), digests(&taken), "{name}");

        // Every second object goes, with more of those that are fetched: only the bytes of such results are needed.
        let mut all = place.objects();
        all.sort();
        let came: BTreeSet<String> = objects(&other);
        let half = |first| all.iter().skip(first).step_by(2).collect::<Vec<&String>>();
        let hit = |half: &[&String]| half.iter().filter(|digest| came.contains(**digest)).count();
        let (even, odd) = (half(0), half(1));
        let gone = if hit(&even) >= hit(&odd) { even } else { odd };
        place.remove(&gone);
        let third = shipped();
        place.add_to(&third);
        let mended = run(&third, &["--push"]);
        assert_eq!(digests(&made), digests(&mended), "{name}");
        let executed: BTreeSet<String> = names(&mended["tasks"]["executed"]).into_iter().collect();
        let lacking = |task: &String| {
            let objects = objects_of(&one, &made["outputs"][task]);
            gone.iter().any(|digest| objects.contains(*digest))
        };
        let needless: Vec<&String> = executed.iter().filter(|task| !lacking(task)).collect();
        assert!(needless.is_empty() && !executed.is_empty(), "{name}: {needless:?} of {executed:?}");
        // Whatever the other project has in its view is here, too.
        for entry in walkdir::WalkDir::new(other.path("artifacts")).into_iter().flatten() {
            let path = entry.path().strip_prefix(other.path("artifacts")).expect("below").to_owned();
            if entry.file_type().is_file() && !path.starts_with(".onsager") {
                let copy = third.path("artifacts").join(&path);
                assert!(fs::read(&copy).ok() == fs::read(entry.path()).ok(), "{name}: {}", copy.display());
            }
        }
        let (all, gone) = (all.len(), gone.len());
        println!(
            "  {all} objects, {gone} removed; executed again: {}",
            names(&mended["tasks"]["executed"]).join(", ")
        );
        // That run has mended what it needed.
        let fourth = shipped();
        place.add_to(&fourth);
        assert_eq!(names(&run(&fourth, &[])["tasks"]["executed"]), Vec::<String>::new(), "{name}");
    }
}
