//! What the keys of `top` do.

use crate::cli::top::state::Top;
use crate::run::requests::Asked;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What follows a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    GoOn,
    End,
}

/// The keys, for the last line.
pub const HELP: &str = "↑↓ choose  f filter  l log  c cancel  r retry  q quit";

pub fn press(top: &mut Top, key: KeyEvent) -> Next {
    if key.kind == KeyEventKind::Release {
        return Next::GoOn;
    }
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Next::End;
    }
    if top.question.is_some() {
        top.answer(matches!(key.code, KeyCode::Char('y' | 'Y')));
        return Next::GoOn;
    }
    let page = top.fits.max(1) as isize;
    match key.code {
        KeyCode::Char('q') => return Next::End,
        KeyCode::Esc if top.log_alone => top.log_alone = false,
        KeyCode::Esc => return Next::End,
        KeyCode::Char('l') | KeyCode::Enter => (top.log_alone, top.scrolled) = (!top.log_alone, 0),
        KeyCode::Char('f') => top.list_others(),
        KeyCode::Char('c') => top.ask(|task| Asked::Cancel { task }),
        KeyCode::Char('r') => top.ask(|task| Asked::Retry { task }),
        code if top.log_alone => {
            let most = top.log.len().saturating_sub(1);
            top.scrolled = match code {
                KeyCode::Up | KeyCode::Char('k') => top.scrolled + 1,
                KeyCode::Down | KeyCode::Char('j') => top.scrolled.saturating_sub(1),
                KeyCode::PageUp => top.scrolled + page as usize,
                KeyCode::PageDown => top.scrolled.saturating_sub(page as usize),
                KeyCode::Home | KeyCode::Char('g') => most,
                KeyCode::End | KeyCode::Char('G') => 0,
                _ => top.scrolled,
            }
            .min(most);
        }
        KeyCode::Up | KeyCode::Char('k') => top.step(-1),
        KeyCode::Down | KeyCode::Char('j') => top.step(1),
        KeyCode::PageUp => top.step(-page),
        KeyCode::PageDown => top.step(page),
        KeyCode::Home | KeyCode::Char('g') => top.step(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => top.step(isize::MAX),
        _ => {}
    }
    Next::GoOn
}
