/* The kernel's description of its own types (BTF), as far as isle asks it: the number of a function. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "btf.h"

#define SIZE_MAX_BTF (64 << 20)

/* Kinds that headers of Linux 6.1 lack or name otherwise; Documentation/bpf/btf.rst has all. */
enum { KIND_FLOAT = 16, KIND_DECL_TAG = 17, KIND_TYPE_TAG = 18, KIND_ENUM64 = 19 };

/* How many bytes follow a type's head; -1: a kind of a later kernel, beyond which nothing can be found. */
static long tail(uint32_t info)
{
	const long count = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case KIND_FLOAT:
	case KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_ENUM:
		return count * (long)sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return count * (long)sizeof(struct btf_param);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return count * 12; /* a struct btf_member, btf_var_secinfo or btf_enum64 */
	default:
		return -1;
	}
}

static int find(const char *data, size_t len, const char *name, uint32_t *ret)
{
	struct btf_header head;

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(&head, data, sizeof(head));
	if (head.magic != BTF_MAGIC || head.hdr_len > len || head.type_off > len - head.hdr_len ||
	    head.type_len > len - head.hdr_len - head.type_off || head.str_off > len - head.hdr_len ||
	    head.str_len > len - head.hdr_len - head.str_off)
		return -EINVAL;
	const char *types = data + head.hdr_len + head.type_off, *names = data + head.hdr_len + head.str_off;
	const size_t size = strlen(name) + 1;
	uint32_t number = 0;

	for (size_t at = 0; head.type_len - at >= sizeof(struct btf_type);) {
		struct btf_type type;

		memcpy(&type, types + at, sizeof(type));
		long more = tail(type.info);

		number++; /* 0 is void */
		if (more < 0 || (size_t)more > head.type_len - at - sizeof(type))
			break;
		if (BTF_INFO_KIND(type.info) == BTF_KIND_FUNC && type.name_off < head.str_len &&
		    head.str_len - type.name_off >= size && memcmp(names + type.name_off, name, size) == 0) {
			*ret = number;
			return 0;
		}
		at += sizeof(type) + (size_t)more;
	}
	return -ENOENT;
}

int btf_function(const char *path, const char *name, uint32_t *ret)
{
	auto_free char *data = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, SIZE_MAX_BTF, &data, &len);

	return r < 0 ? r : find(data, len, name, ret);
}
