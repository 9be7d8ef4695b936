//! The figures and tables of a run, each with how it was made and the command that makes it again.

use crate::pages::graph;
use crate::pages::made::{Made, Record, field};
use crate::pages::names::{Places, anchor, pipeline_word, point_and_stage, shell_word};
use crate::pages::shell::{command, stranger};
use crate::pages::tasks::Numbers;
use crate::run::account::Account;
use crate::run::commit::Commit;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::files::StoreError;
use crate::store::names;
use crate::store::objects::{Content, Shape};
use crate::words::{count, plural, size};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use onsager_tables::read::{self, Parquet};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;

/// A larger picture is not put into the page, nor one more when they have so many bytes together.
const PICTURE: u64 = 500 << 10;
const PICTURES: u64 = 2 << 20;
/// A larger table is not looked into.
const TABLE: u64 = 2 << 20;
/// How much of a table is shown.
const ROWS: usize = 8;
const COLUMNS: usize = 12;
/// How many results are shown.
const RESULTS: usize = 150;
/// How many tasks of a stage a chain names.
const LINKS: usize = 6;

/// What the bytes of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Svg,
    Png,
    Jpeg,
    Gif,
    Webp,
    Pdf,
    /// Parquet, or text with columns, as its name says.
    Table,
    Other,
}

impl Look {
    /// The type of a picture that browsers show.
    fn picture(self) -> Option<&'static str> {
        match self {
            Look::Svg => Some("image/svg+xml"),
            Look::Png => Some("image/png"),
            Look::Jpeg => Some("image/jpeg"),
            Look::Gif => Some("image/gif"),
            Look::Webp => Some("image/webp"),
            Look::Pdf | Look::Table | Look::Other => None,
        }
    }
}

/// A task whose outputs are a figure or a table.
pub struct Shown<'a> {
    pub task: &'a str,
    outputs: Vec<(&'a str, Content, Look)>,
}

/// The tasks that made figures and tables.
pub fn find<'a>(store: &Store, account: &'a Account, made: &'a Made) -> Vec<Shown<'a>> {
    let mut found = Vec::new();
    for task in graph::ordered(account) {
        let Some(Record { action, kind, .. }) = made.record(task) else { continue };
        let outputs: Vec<_> = action
            .outputs
            .iter()
            .filter(|(_, content)| !content.is_absent())
            .map(|(name, content)| (name.as_str(), *content, look(store, action, name, content)))
            .collect();
        let figure = outputs.iter().any(|(_, _, look)| look.picture().is_some() || *look == Look::Pdf);
        // Data that other tasks go on with is no table for people.
        let is_last = |content: &Content| made.takers(&content.digest).all(|kind| kind == "report");
        let table = outputs
            .iter()
            .any(|(_, content, look)| *look == Look::Table && (kind == "table" || is_last(content)));
        if figure || table {
            found.push(Shown { task, outputs });
        }
    }
    // Pictures come first, otherwise they stay in the order of the graph.
    found.sort_by_key(|result| !result.outputs.iter().any(|(_, _, look)| look.picture().is_some()));
    found
}

/// By the first bytes, and for text by the name.
fn look(store: &Store, action: &Action, name: &str, content: &Content) -> Look {
    if content.shape == Shape::Folder {
        return Look::Other;
    }
    let mut head = Vec::new();
    let opened = File::open(store.objects().path(&content.digest));
    if opened.and_then(|file| file.take(1024).read_to_end(&mut head)).is_err() {
        return Look::Other;
    }
    let text = std::str::from_utf8(&head[..head.len().min(1000)]).unwrap_or_default();
    match head.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Look::Png,
        [0xff, 0xd8, 0xff, ..] => Look::Jpeg,
        [b'G', b'I', b'F', b'8', ..] => Look::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Look::Webp,
        [b'%', b'P', b'D', b'F', ..] => Look::Pdf,
        [b'P', b'A', b'R', b'1', ..] => Look::Table,
        _ if text.trim_start().starts_with("<svg") => Look::Svg,
        _ if text.trim_start().starts_with("<?xml") && text.contains("<svg") => Look::Svg,
        _ => {
            let file = field(action, &format!("params.outputs.{name}")).unwrap_or_default();
            let named = |ending: &str| name == ending || file.ends_with(&format!(".{ending}"));
            if named("csv") || named("tsv") { Look::Table } else { Look::Other }
        }
    }
}

/// What the section needs to know.
pub struct Sources<'a> {
    pub store: &'a Store,
    pub account: &'a Account,
    pub made: &'a Made,
    pub parquet: Option<&'a dyn Parquet>,
    /// Of the tasks whose records are told.
    pub numbers: &'a Numbers<'a>,
    /// What was checked out in the runs that made the results.
    pub commits: &'a Commits,
    pub places: &'a Places,
}

/// The commits of runs, by the names of these.
pub type Commits = HashMap<String, Commit>;

/// What was checked out in this run and in those that made its results. A run that finds nothing to do does not ask git.
pub fn commits(
    store: &Store,
    account: &Account,
    made: &Made,
    shown: &[Shown],
) -> Result<Commits, StoreError> {
    let mut commits = Commits::new();
    commits.extend(account.commit.clone().map(|commit| (account.run.clone(), commit)));
    let runs = shown.iter().filter_map(|result| made.record(result.task)).map(|record| &record.action.run);
    // The name is that of a file.
    let runs: BTreeSet<&String> = runs.filter(|run| **run != account.run && names::is_plain(run)).collect();
    for run in runs {
        let commit = Account::read(store, run)?.commit;
        commits.extend(commit.map(|commit| (run.clone(), commit)));
    }
    Ok(commits)
}

/// The section.
pub fn section(shown: &[Shown], sources: &Sources) -> Markup {
    let mut room = PICTURES;
    html! {
        @if !shown.is_empty() {
            h2 id="results" { "Figures and tables" }
            @if shown.len() > RESULTS { p { "The first " (RESULTS) " of " (count(shown.len() as u64)) "." } }
            div.results {
                @for (number, result) in shown.iter().take(RESULTS).enumerate() { (card(number, result, sources, &mut room)) "\n" }
            }
        }
    }
}

fn card(number: usize, result: &Shown, sources: &Sources, room: &mut u64) -> Markup {
    let name = stranger(result.task);
    let picture = picture(result, sources.store, room);
    let table = match picture {
        None => result.outputs.iter().find(|(_, _, look)| *look == Look::Table),
        Some(_) => None,
    };
    html! {
        article.result.wide[table.is_some()] id=(anchor("result", number)) {
            h3 { (name) }
            @if let Some((output, source)) = &picture {
                div.plate { button.zoom type="button" data-enlarge={ (name) "." (output) } aria-label={ "Enlarge " (name) } {
                    img src=(source) alt={ "The figure " (name) "." (output) };
                } }
            } @else if let Some((output, content, _)) = table {
                (preview(&format!("{name}.{output}"), content, sources))
            } @else {
                p.muted.small { "Not shown: it is no picture that a browser shows, or too large for this page." }
            }
            (how(result, sources, picture.as_ref().map(|(name, _)| *name).or(table.map(|(name, ..)| *name))))
        }
    }
}

/// The picture of a result that is put into the page: the sharpest that fits.
fn picture<'a>(result: &Shown<'a>, store: &Store, room: &mut u64) -> Option<(&'a str, String)> {
    let fits = |content: &Content| content.size <= PICTURE && content.size <= *room;
    let mut pictures =
        result.outputs.iter().filter_map(|(name, content, look)| Some((name, content, look.picture()?)));
    let (name, content, kind) = pictures
        .clone()
        .find(|(_, content, kind)| *kind == "image/svg+xml" && fits(content))
        .or_else(|| pictures.find(|(_, content, _)| fits(content)))?;
    // One that is damaged is not shown.
    let path = store.objects().checked_file(&content.digest).ok()?;
    let bytes = fs::read(path).ok()?;
    *room -= content.size;
    Some((name, format!("data:{kind};base64,{}", STANDARD.encode(bytes))))
}

/// The first rows of a table.
fn preview(output: &str, content: &Content, sources: &Sources) -> Markup {
    if content.size > TABLE {
        return html! { p.muted.small { "A table of " (size(content.size)) ", which is not shown here." } };
    }
    let loaded = sources.store.objects().checked_file(&content.digest).map_err(|error| error.to_string());
    let loaded =
        loaded.and_then(|path| read::load(&path, sources.parquet).map_err(|error| error.without_path()));
    let columns = match loaded {
        Ok(columns) => columns,
        Err(message) => return html! { p.muted.small { "It cannot be shown: " (stranger(&message)) } },
    };
    let rows = columns.height();
    let columns = columns.into_inner();
    let (shown, of) = (columns.len().min(COLUMNS), columns.len());
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "The first rows of " (stranger(output)) } {
            table {
                thead { tr { @for (name, _) in &columns[..shown] { th scope="col" { (stranger(name)) } } } }
                tbody {
                    @for row in 0..rows.min(ROWS) {
                        tr { @for (_, values) in &columns[..shown] { td { (values.get(row).map_or(String::new(), |value| stranger(&value.to_string()))) } } }
                    }
                }
            }
        }
        p.muted.small { (plural(rows, "row")) ", " (plural(of, "column")) @if rows > ROWS || of > COLUMNS { "; the first are shown" } }
    }
}

/// How was this made?
fn how(result: &Shown, sources: &Sources, output: Option<&str>) -> Markup {
    let Sources { account, made, numbers, .. } = sources;
    let Some(Record { action, .. }) = made.record(result.task) else { return html! {} };
    let chain = made.chain(result.task);
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for task in &chain {
        let stage = point_and_stage(task).1;
        match groups.iter_mut().find(|(other, _)| *other == stage) {
            Some((_, tasks)) => tasks.push(task),
            None => groups.push((stage, vec![task])),
        }
    }
    html! {
        details.box {
            summary { "How was this made?" }
            p.small { (commit(sources.commits.get(&account.run).or_else(|| sources.commits.get(&action.run)))) }
            (command(&made.command(account, result.task)))
            @if let Some(output) = output {
                p.small { "The bytes are the same if their SHA-256 is:" }
                (command(&format!(
                    "onsager get {} --pipeline {} --cat | sha256sum",
                    shell_word(&format!("{}.{output}", result.task)),
                    pipeline_word(&account.file)
                )))
            }
            ul.plain.small {
                @for (name, content, _) in &result.outputs {
                    li id=[sources.places.once(content)] { code { (content.to_string()) } " " (stranger(name)) ", " (size(content.size)) }
                }
            }
            p.small {
                "Made by run " code { (stranger(&action.run)) }
                @if !action.host.is_empty() { " on " (stranger(&action.host)) }
                " with the results of " (plural(chain.len() - 1, "task")) ", the first of them first:"
            }
            ol.chain.small {
                @for (stage, tasks) in &groups {
                    li {
                        b { (stranger(stage)) }
                        @if tasks.len() > 1 { " ×" (tasks.len()) }
                        @if let Some(Record { kind, code, .. }) = made.record(tasks[0]) { " · " (stranger(kind)) " · code " code { (code.chars().take(12).collect::<String>()) } }
                        @for task in tasks.iter().take(LINKS) {
                            br;
                            @match numbers.get(task) {
                                Some(number) => a href={ "#" (anchor("made", *number)) } { (stranger(task)) },
                                None => (stranger(task)),
                            }
                        }
                        @if tasks.len() > LINKS { br; "and " (tasks.len() - LINKS) " more" }
                    }
                }
            }
        }
    }
}

/// Where the command is to be given.
fn commit(commit: Option<&Commit>) -> Markup {
    let Some(commit) = commit else {
        return html! { "One command makes it again, in the project's folder. The run knew no git commit." };
    };
    html! {
        "One command makes it again, in a clone of the project at commit " code { (commit.commit) }
        @if let Some(branch) = &commit.branch { " (branch " (stranger(branch)) ")" }
        @if commit.dirty {
            ", with changes that were not committed"
            @if let Some(difference) = &commit.difference { " (SHA-256 of the difference: " code { (difference.short()) } ")" }
        }
        ":"
    }
}
