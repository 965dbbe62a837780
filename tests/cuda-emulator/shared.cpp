/* shared.cpp: which variables are a kernel's shared memory.
 *
 * __shared__ is `static`, so a kernel's shared variables are found in the symbol table of the file that the
 * kernel was linked into: the variables of function _Z1kv are called _ZZ1kvE and their name.  That says
 * how large they are, too. */
#include "emulator.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "asan.h"

#if SD_EMU_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace emu {

/* A linked file, mapped for as long as the process lives. */
struct object {
	const char *base;       /* of the file */
	uintptr_t bias;         /* from the addresses in it to those in memory */
	const ElfW(Shdr) *section;
	const ElfW(Sym) *sym;
	size_t nsym;
	const char *names;
};

static object open_object(const char *path, uintptr_t bias)
{
	object o = {NULL, bias, NULL, NULL, 0, NULL};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail("cannot open '%s'", path);
	o.base = static_cast<const char *>(mmap(NULL, static_cast<size_t>(st.st_size), PROT_READ, MAP_PRIVATE,
		fd, 0));
	close(fd);
	if (o.base == MAP_FAILED)
		fail("cannot map '%s'", path);
	const ElfW(Ehdr) *head = reinterpret_cast<const ElfW(Ehdr) *>(o.base);
	const ElfW(Shdr) *section = o.section =
		reinterpret_cast<const ElfW(Shdr) *>(o.base + head->e_shoff);
	for (int i = 0; i < head->e_shnum; i++)
		if (section[i].sh_type == SHT_SYMTAB) {
			o.sym = reinterpret_cast<const ElfW(Sym) *>(o.base + section[i].sh_offset);
			o.nsym = section[i].sh_size / sizeof(ElfW(Sym));
			o.names = o.base + section[section[i].sh_link].sh_offset;
		}
	if (!o.sym)
		fail("'%s' has no symbol table, without which shared variables cannot be found", path);
	return o;
}

static const object &object_of(const void *p)
{
	static std::map<uintptr_t, object> known;
	Dl_info info;
	void *extra;

	if (!dladdr1(p, &info, &extra, RTLD_DL_LINKMAP))
		fail("%p is not a kernel", p);
	const link_map *map = static_cast<const link_map *>(extra);
	auto found = known.find(map->l_addr);
	if (found == known.end()) {
		const char *path = map->l_name && *map->l_name ? map->l_name : "/proc/self/exe";

		found = known.emplace(map->l_addr, open_object(path, map->l_addr)).first;
	}
	return found->second;
}

/* A variable without the red zone that some compilers count as its own. */
static size_t size_without_zone(const unsigned char *p, size_t size)
{
#if SD_EMU_ASAN
	while (size && __asan_address_is_poisoned(p + size - 1))
		size--;
#else
	(void)p;
#endif
	return size;
}

static kernel_info read_kernel(const void *kernel)
{
	const object &o = object_of(kernel);
	kernel_info k;

	k.static_bytes = 0;
	for (size_t i = 0; i < o.nsym && k.name.empty(); i++)
		if (ELF64_ST_TYPE(o.sym[i].st_info) == STT_FUNC && o.sym[i].st_shndx != SHN_UNDEF &&
		    o.sym[i].st_value + o.bias == reinterpret_cast<uintptr_t>(kernel))
			k.name = o.names + o.sym[i].st_name;
	if (k.name.compare(0, 2, "_Z"))
		fail("kernel '%s' has no C++ name", k.name.c_str());
	std::string prefix = "_ZZ" + k.name.substr(2) + "E";
	for (size_t i = 0; i < o.nsym; i++) {
		const char *name = o.names + o.sym[i].st_name;

		/* what has no initial value: tables of constants stay as they are */
		if (ELF64_ST_TYPE(o.sym[i].st_info) != STT_OBJECT || strncmp(name, prefix.c_str(), prefix.size()) ||
		    o.section[o.sym[i].st_shndx].sh_type != SHT_NOBITS)
			continue;
		unsigned char *p = reinterpret_cast<unsigned char *>(o.sym[i].st_value + o.bias);
		k.shared.push_back({p, size_without_zone(p, o.sym[i].st_size)});
		k.static_bytes += k.shared.back().size;
	}
	k.max_dynamic = 48 << 10;
	k.max_dynamic -= k.static_bytes < k.max_dynamic ? k.static_bytes : k.max_dynamic;
	return k;
}

kernel_info &kernel_find(const void *kernel)
{
	static std::map<const void *, kernel_info> known;
	lock held;
	auto found = known.find(kernel);

	if (found == known.end())
		found = known.emplace(kernel, read_kernel(kernel)).first;
	return found->second;
}

void poison(void *p, size_t size)
{
	memset(p, 0xff, size);
}

}
