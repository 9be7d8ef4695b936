//! One self-contained page ([`html`]): texts in Markdown ([`markup`], with [`mathematics`]), figures, and tables ([`table`]).

pub mod html;
pub mod markup;
pub mod mathematics;
pub mod table;
