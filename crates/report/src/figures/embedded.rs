//! The part of a font that a PDF needs, so that its text is text: it can be selected, searched and read aloud.

use crate::error::ReportError;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Name, Pdf, Rect, Ref, Str};
use std::collections::BTreeMap;
use std::io::{self, Write};
use subsetter::{GlyphRemapper, subset};
use ttf_parser::Face;

/// A font of which each glyph that is used gets a number, from 1 on.
pub struct Font {
    name: &'static str,
    data: &'static [u8],
    face: Face<'static>,
    numbers: GlyphRemapper,
    /// The character and the width of each number, in thousandths of the font's size.
    glyphs: BTreeMap<u16, (char, f32)>,
}

/// Sets of characters by Adobe's names: glyphs are told by number.
const IDENTITY: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

impl Font {
    pub fn new(name: &'static str, data: &'static [u8]) -> Result<Font, ReportError> {
        let face = Face::parse(data, 0).map_err(|error| ReportError::Font { message: error.to_string() })?;
        Ok(Font { name, data, face, numbers: GlyphRemapper::new(), glyphs: BTreeMap::new() })
    }

    /// The glyphs of a text, two bytes each, and its width in units of the font's size.
    pub fn set(&mut self, text: &str) -> (Vec<u8>, f64) {
        let (mut bytes, mut width) = (Vec::with_capacity(2 * text.len()), 0.0);
        for sign in text.chars() {
            let glyph = self.face.glyph_index(sign).unwrap_or_default();
            let number = self.numbers.remap(glyph.0);
            let advance = f32::from(self.face.glyph_hor_advance(glyph).unwrap_or_default());
            let advance = 1000.0 * advance / f32::from(self.face.units_per_em());
            self.glyphs.entry(number).or_insert((sign, advance));
            bytes.extend(number.to_be_bytes());
            width += f64::from(advance) / 1000.0;
        }
        (bytes, width)
    }

    pub fn is_used(&self) -> bool {
        !self.glyphs.is_empty()
    }

    /// Writes the font as the object `id`, with what belongs to it.
    pub fn write(&self, pdf: &mut Pdf, id: Ref, next: &mut impl FnMut() -> Ref) -> Result<(), ReportError> {
        let (cid, descriptor, file, cmap) = (next(), next(), next(), next());
        let small = subset(self.data, 0, &self.numbers)
            .map_err(|error| ReportError::Font { message: error.to_string() })?;
        let tagged = format!("{}+{}", self.tag(), self.name);
        let name = Name(tagged.as_bytes());
        pdf.type0_font(id)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(cmap);
        let mut font = pdf.cid_font(cid);
        font.subtype(CidFontType::Type2).base_font(name).system_info(IDENTITY).font_descriptor(descriptor);
        font.default_width(0.0).cid_to_gid_map_predefined(Name(b"Identity"));
        // Numbers have no gaps; 0 is among them where a character is not in the font.
        let first = self.glyphs.keys().next().copied().unwrap_or_default();
        font.widths().consecutive(first, self.glyphs.values().map(|(_, width)| *width));
        drop(font);
        let scale = |length: i16| 1000.0 * f32::from(length) / f32::from(self.face.units_per_em());
        let bounds = self.face.global_bounding_box();
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(
                scale(bounds.x_min),
                scale(bounds.y_min),
                scale(bounds.x_max),
                scale(bounds.y_max),
            ))
            .italic_angle(0.0)
            .ascent(scale(self.face.ascender()))
            .descent(scale(self.face.descender()))
            .cap_height(scale(self.face.capital_height().unwrap_or(self.face.ascender())))
            .stem_v(80.0)
            .font_file2(file);
        pdf.stream(file, &deflated(&small)?)
            .filter(Filter::FlateDecode)
            .pair(Name(b"Length1"), small.len() as i32);
        let mut unicode = UnicodeCmap::new(Name(b"onsager"), IDENTITY);
        self.glyphs.iter().for_each(|(number, (sign, _))| unicode.pair(*number, *sign));
        pdf.stream(cmap, &deflated(unicode.finish().as_slice())?).filter(Filter::FlateDecode);
        Ok(())
    }

    /// Six letters that tell parts of one font apart, as PDF asks for them: a function of what is in the part.
    fn tag(&self) -> String {
        // The hash of Fowler, Noll and Vo.
        let step = |hash: u64, sign: &char| (hash ^ u64::from(*sign)).wrapping_mul(0x0100_0000_01b3);
        let mut hash = self.glyphs.values().map(|(sign, _)| sign).fold(0xcbf2_9ce4_8422_2325, step);
        let letters = (0..6).map(|_| {
            let letter = b'A' + (hash % 26) as u8;
            hash /= 26;
            char::from(letter)
        });
        letters.collect()
    }
}

/// What a stream holds when it is compressed.
pub fn deflated(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
