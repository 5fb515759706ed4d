/* _dl_find_object for musl: where are the unwind tables of the code at an address?
 *
 * The unwinder of gcc (libgcc_eh.a, as Debian builds it) asks glibc for them. musl has no such function, but it can name every loaded object
 * and its program headers, and those say the same. A static program is one object. */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>

/* As glibc declares it in <dlfcn.h>. */
struct dl_find_object {
	unsigned long long flags;
	void *map_start;
	void *map_end;
	struct link_map *link_map;
	void *eh_frame;
	unsigned long long reserved[7];
};

struct query {
	char *address;
	struct dl_find_object *result;
};

static int look(struct dl_phdr_info *object, size_t size, void *data)
{
	struct query *query = data;
	char *base = (char *)object->dlpi_addr, *start = NULL, *end = NULL;
	void *tables = NULL;
	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		char *from = base + part->p_vaddr, *to = from + part->p_memsz;
		if (part->p_type == PT_LOAD && query->address >= from && query->address < to) {
			start = from;
			end = to;
		}
		if (part->p_type == PT_GNU_EH_FRAME)
			tables = from;
	}
	if (!start || !tables)
		return 0;
	*query->result = (struct dl_find_object){ .map_start = start, .map_end = end, .eh_frame = tables };
	return 1;
}

int _dl_find_object(void *address, struct dl_find_object *result)
{
	struct query query = { address, result };
	return dl_iterate_phdr(look, &query) ? 0 : -1;
}
