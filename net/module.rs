// SPDX-License-Identifier: GPL-2.0

//! Makes [`Module`] a type that `module!` accepts as the type of a kernel module.

use kernel::{
    prelude::*,
    InPlaceModule,
    ModuleMetadata, //
};

use super::pernet::{
    Module,
    Subsystem, //
};

// `net/` is part of the module's crate, so a type of `net/` can implement `InPlaceModule` and be
// the type in `module!`. Of all types `Module<T>`, only the one that `module!` names has
// `ModuleMetadata`.
impl<T> InPlaceModule for Module<T>
where
    T: Subsystem<Module = Self>,
    Self: ModuleMetadata,
{
    /// Registers the subsystem: see [`Module::new`].
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: `T::Module` is `Self`, the type that `module!` names. So `T::Module` is the
        // module of the crate that contains this code. The value that `new()` initializes is the
        // value that `module!` makes.
        unsafe { Self::new() }
    }
}
