# SPDX-License-Identifier: GPL-2.0
#
# The kbuild rules for a module with net/ in its crate. README.md shows a whole module. Its Kbuild:
#
#	obj-m := my_module.o
#	include $(src)/net/module.mk
#
# These variables, which are all optional, must be set before the include:
#
#   net-crates   the crates with net/ in them: the names of their files without .rs. The default
#                is all of obj-m; a module of several objects (my_module-y := ...) must name its crate.
#   net-bindgen  C items for these crates, as HEADER:ITEM[,ITEM]..., with the path of a header below
#                $(src) and regular expressions for the names of items. The crate includes them with
#                include!(concat!(env!("NET_OUT"), "/HEADER.rs")).
#   net-kunit    y: also builds the KUnit suites of net/. The names of suites are unique in the whole
#                kernel, so only one of the modules that are loaded at a time may have them.

net-dir := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
net-crates ?= $(patsubst %.o,%,$(filter %.o,$(obj-m)))

# A build with other compilers than the kernel's fails, and its errors do not show the reason: rustc
# cannot read the crates of another rustc, and an older or different C compiler does not know all options.
ifdef CONFIG_RUST
net-rustc-of-kernel := $(subst ",,$(CONFIG_RUSTC_VERSION_TEXT))
net-rustc-here := $(shell $(RUSTC) --version 2>/dev/null)
ifneq ($(net-rustc-here),$(net-rustc-of-kernel))
$(error The kernel was built with '$(net-rustc-of-kernel)'. Here, RUSTC=$(RUSTC) is \
	'$(or $(net-rustc-here),not there)'. Rust modules need the same rustc. Install it. \
	If PATH has another rustc first, name the right one with RUSTC=/path/to/rustc)
endif
# "14 __clang_major__" or "4 19"
net-cc-here := $(shell echo __GNUC__ __clang_major__ | $(CC) -E -P - 2>/dev/null)
net-cc-major := $(if $(CONFIG_CC_IS_CLANG),$(word 2,$(net-cc-here)),$(if $(filter __clang_major__,$(net-cc-here)),$(word 1,$(net-cc-here))))
net-cc-version-of-kernel := $(if $(CONFIG_CC_IS_CLANG),$(CONFIG_CLANG_VERSION),$(CONFIG_GCC_VERSION))
ifneq ($(shell test "$(net-cc-major)" -ge $$(($(net-cc-version-of-kernel) / 10000)) 2>/dev/null && echo y),y)
$(error The kernel was built with '$(subst ",,$(CONFIG_CC_VERSION_TEXT))'. Here, CC=$(CC) is \
	'$(or $(shell $(CC) --version 2>/dev/null | head -n 1),not there)'. Install the kernel's compiler \
	or a newer one and name it with CC=gcc-VERSION, or Clang with LLVM=-VERSION)
endif
endif

# compat.rs bridges what kernels before 7.3 lack.
net-before-7.3 := $(call test-lt, $(shell expr $(VERSION) \* 1000 + $(PATCHLEVEL)), 7003)

# The names of the targets in rust/Makefile.
net-target-x86 := x86_64-linux-gnu
net-target-arm64 := aarch64-linux-gnu

# Clang parses the headers. It gets the flags that affect the layout of types, but not the code
# generation flags of the compiler that built the kernel.
net-cflags = -nostdinc -D__KERNEL__ -D__BINDGEN__ -DMODULE $(LINUXINCLUDE) \
	-include $(srctree)/include/linux/compiler_types.h \
	$(filter -D%,$(KBUILD_CFLAGS)) -DKBUILD_MODNAME='"$(firstword $(net-crates))"' \
	-DKBUILD_MODFILE='"$(firstword $(net-crates))"' -std=gnu11 -fms-extensions \
	-fshort-wchar -funsigned-char -fno-builtin -w --target=$(net-target-$(SRCARCH))

# bindgen generates only the named items, without the items that they depend on.
quiet_cmd_net_bindgen = BINDGEN $@
      cmd_net_bindgen = \
	$(BINDGEN) $< --rust-target 1.85 --use-core --with-derive-default \
		--ctypes-prefix ::kernel::ffi --no-layout-tests --no-doc-comments \
		--no-debug '.*' --no-recursive-allowlist --wrap-unsafe-ops \
		$(foreach i,$(net-items),--allowlist-item '$(i)') \
		-o $@ -- $(net-cflags) -Wp,-MMD,$(depfile)

# The C items that kernel::bindings lacks; before 7.3 it lacks more. The types that these items mention come
# from kernel::bindings. It also has the integer types, but bindgen derives Copy for a type only if bindgen
# itself generates the types of its fields. kbuild uses X.rs as the source of X.o, so the names of generated
# files have a dot: the name of a crate cannot have a dot.
net-generated := net.bindings.rs
$(obj)/net.bindings.rs: private net-items := \
	nf_hook_ops nf_hook_ops_type nf_hook_state nf_hookfn \
	nf_register_net_hook nf_unregister_net_hook nf_inet_hooks \
	nf_ip_hook_priorities NF_ACCEPT NF_DROP NF_QUEUE \
	NF_VERDICT_FLAG_QUEUE_BYPASS NF_VERDICT_QBITS NFPROTO_IPV4 \
	NFPROTO_IPV6 net_generic sock_common sock_flags sk_free __addrpair __portpair \
	NET_COOKIE NET_DEVICE_IFINDEX NET_DEVICE_PRIV_FLAGS NET_GEN NET_GENL_SOCK NET_INUM netdev_priv_flags \
	SK_BUFF_MARK SK_BUFF_PKT_TYPE SOCK_FLAGS \
	$(if $(net-before-7.3), \
		(__)?[su](8|16|32|64)_? \
		genl_dumpit_info genl_family genl_info genl_multicast_group genl_ops genl_register_family \
		genl_small_ops genl_split_ops genl_split_ops__.* genl_unregister_family genlmsghdr \
		GENL_CMD_CAP_.* GENL_NAMSIZ netlink_range_validation netlink_range_validation_signed \
		nla_policy nla_policy__.* nla_policy_validation NLA_.* \
		pernet_operations possible_net_t register_pernet_subsys unregister_pernet_subsys)
$(obj)/net.bindings.rs: $(net-dir)/bindings_helper.h FORCE
	$(call if_changed_dep,net_bindgen)

# $(call net-bindgen-rule,HEADER,ITEMS)
net-comma := ,
define net-bindgen-rule
net-generated += $(1).rs
$(obj)/$(1).rs: private net-items := $(subst $(net-comma), ,$(2))
$(obj)/$(1).rs: $(src)/$(1) FORCE
	$$(call if_changed_dep,net_bindgen)
endef
$(foreach b,$(net-bindgen),$(eval $(call net-bindgen-rule,$(word 1,$(subst :, ,$(b))),$(word 2,$(subst :, ,$(b))))))

targets += $(net-generated)

# The crates include the generated files, which are in the objects' directory.
net-objects := $(patsubst %,$(obj)/%.o,$(net-crates))
$(net-objects): export NET_OUT = $(abspath $(obj))
$(net-objects): $(addprefix $(obj)/,$(net-generated))
# By default, rustc also compiles functions that only generic code could call, even if the module does not
# use them. If all functions count as inlinable, rustc compiles only the functions that are called. That saves
# 6.5 kB in a module that uses nothing of net/.
net-rustflags := -Zcross-crate-inline-threshold=always $(if $(filter y,$(net-kunit)),--cfg net_kunit) \
	$(if $(net-before-7.3),--cfg before_7_3)
$(foreach c,$(net-crates),$(eval RUSTFLAGS_$(c).o += $(net-rustflags)))
