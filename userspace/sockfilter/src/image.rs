// SPDX-License-Identifier: MIT OR Apache-2.0

//! Makes an ELF image of a program, because loaders of BPF programs read such images.

use object::Architecture;
use object::BinaryFormat;
use object::Endianness;
use object::RelocationFlags;
use object::SectionKind;
use object::SymbolFlags;
use object::SymbolKind;
use object::SymbolScope;
use object::elf::R_BPF_64_64;
use object::write::Object;
use object::write::Relocation;
use object::write::Symbol;
use object::write::SymbolSection;

use crate::assembler::Code;

/// `BPF_MAP_TYPE_ARRAY` of `linux/bpf.h`.
const MAP_TYPE_ARRAY: u32 = 2;

/// An array that a program shares with userspace.
pub(crate) struct Array {
    pub(crate) name: &'static str,
    /// The length of an entry, in bytes.
    pub(crate) value_len: u32,
    pub(crate) entries: u32,
}

/// A socket filter.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) code: Code,
    /// The map that the code refers to.
    pub(crate) map: Option<Array>,
}

impl Array {
    /// The definition of the map in a section `maps`: type, key length, value length, number of
    /// entries, flags.
    fn definition(&self) -> Vec<u8> {
        let words = [MAP_TYPE_ARRAY, 4, self.value_len, self.entries, 0];
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }
}

impl Program {
    /// Writes the image: the program in a section `socket`, its map in a section `maps`, and a
    /// relocation for each reference of the program to the map.
    pub(crate) fn image(&self) -> Vec<u8> {
        let endianness = if cfg!(target_endian = "little") {
            Endianness::Little
        } else {
            Endianness::Big
        };
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, endianness);
        let mut add = |section: &str, kind, name: &str, symbol, data: &[u8]| {
            let section = object.add_section(Vec::new(), section.into(), kind);
            object.append_section_data(section, data, 8);
            let symbol = object.add_symbol(Symbol {
                name: name.into(),
                value: 0,
                size: data.len() as u64,
                kind: symbol,
                scope: SymbolScope::Dynamic,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
            (section, symbol)
        };
        let license = SectionKind::ReadOnlyData;
        add("license", license, "license", SymbolKind::Data, b"GPL\0");
        let (text, _) = add(
            "socket",
            SectionKind::Text,
            self.name,
            SymbolKind::Text,
            &self.code.bytes,
        );
        if let Some(map) = &self.map {
            let (kind, symbol) = (SectionKind::Data, SymbolKind::Data);
            let (_, symbol) = add("maps", kind, map.name, symbol, &map.definition());
            for &offset in &self.code.map_references {
                let relocation = Relocation {
                    offset,
                    symbol,
                    addend: 0,
                    flags: RelocationFlags::Elf {
                        r_type: R_BPF_64_64,
                    },
                };
                object
                    .add_relocation(text, relocation)
                    .expect("the section has the instruction");
            }
        }
        object
            .write()
            .expect("all that is added is of this format and in range")
    }
}

#[cfg(test)]
mod tests {
    use object::File;
    use object::Object as _;
    use object::ObjectSection;
    use object::ObjectSymbol;
    use object::RelocationTarget;

    use super::*;

    fn program(map: Option<Array>) -> Program {
        Program {
            name: "name",
            code: Code {
                bytes: vec![7; 32],
                map_references: map.iter().map(|_| 8).collect(),
            },
            map,
        }
    }

    fn section(file: &File<'_>, name: &str) -> Vec<u8> {
        let section = file.section_by_name(name).unwrap();
        section.data().unwrap().to_vec()
    }

    #[test]
    fn references_to_the_map_are_to_be_relocated() {
        let image = program(Some(Array {
            name: "map",
            value_len: 16,
            entries: 5,
        }))
        .image();
        let file = File::parse(&*image).unwrap();
        assert_eq!(file.architecture(), Architecture::Bpf);
        assert_eq!(section(&file, "socket"), [7; 32]);
        assert_eq!(section(&file, "license"), b"GPL\0");
        let definition = [2_u32, 4, 16, 5, 0].map(u32::to_ne_bytes).concat();
        assert_eq!(section(&file, "maps"), definition);

        let text = file.section_by_name("socket").unwrap();
        let relocations: Vec<_> = text.relocations().collect();
        let [(8, relocation)] = &relocations[..] else {
            panic!("{relocations:?}");
        };
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            panic!("{relocation:?}");
        };
        let symbol = file.symbol_by_index(symbol).unwrap();
        assert_eq!((symbol.name(), symbol.size()), (Ok("map"), 20));
    }

    #[test]
    fn program_without_a_map_stands_alone() {
        let image = program(None).image();
        let file = File::parse(&*image).unwrap();
        assert!(file.section_by_name("maps").is_none());
        let text = file.section_by_name("socket").unwrap();
        assert_eq!(text.relocations().count(), 0);
        let mut programs = file.symbols().filter(|symbol| symbol.name() == Ok("name"));
        assert_eq!(programs.next().unwrap().size(), 32);
    }
}
