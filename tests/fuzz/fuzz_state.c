/* Files of isle's own state and tables of the kernel, by chance: a torn or foreign one is refused or passed over. The first byte says
 * which. */
#include "config.h"

#include <net/if.h>

#include "../../src/guest/ids_table.h"
#include "../../src/guest/image_key.h"
#include "../../src/guest/network.h"
#include "../../src/guest/record.h"
#include "../../src/kernel/cgroup_layout.h"
#include "../../src/run/mount_options.h"
#include "fuzz.h"

/* format(parse(x)) reads back to the same. */
static void run_record(char *text)
{
	auto_buf struct buf first = {0}, second = {0};
	struct record record, again;

	record_parse(text, &record);
	demand(record.link_count <= RECORD_LINKS_MAX && record.init_pid >= 0 && record.monitor_pid >= 0);
	record_format(&record, &first);
	char *copy = strdup(first.data);

	demand(copy);
	record_parse(copy, &again);
	record_format(&again, &second);
	demand(!strcmp(first.data, second.data));
	free(copy);
}

static void mount_table(char *text)
{
	struct cgroup_layout_map map = {0};

	cgroup_layout_parse(text, &map);
	demand(map.v1_count >= 0 && map.v1_count <= CGROUP_V1_MAX);
	for (int i = 0; i < map.v1_count; i++)
		demand(map.v1[i].controller[0] && memchr(map.v1[i].path, '\0', sizeof(map.v1[i].path)));
}

static void network_file(const char *text)
{
	struct store store = {.networks = "/etc/isle/networks", .tag = "12ab"};
	struct network network = {0};
	struct err err = {0};

	if (network_parse(&store, "lan", text, &network, &err) < 0) {
		demand(err.what[0]);
		return;
	}
	demand(network.bridge[0] && strlen(network.bridge) < IFNAMSIZ && !strpbrk(network.bridge, "/ \t\n%"));
	demand(!network.has4 || (network.prefix4 >= 8 && network.prefix4 <= 30));
	demand(!network.has6 || (network.prefix6 >= 16 && network.prefix6 <= 120));
	demand(!(network.mac[0] & 1));
}

static void image_file(const char *text)
{
	struct image_info info = {0};

	if (image_inputs_parse(text, &info) == 0)
		demand(info.template_path && info.arch && info.args);
	image_info_free(&info);
}

static void id_table(char *text, bool subordinate)
{
	struct ids_table taken = {0};

	ids_table_add(&taken, text, subordinate);
	/* No bit beyond the last range. */
	for (size_t i = IDS_RANGES; i < sizeof(taken.bit) * 8; i++)
		demand(!(taken.bit[i / 8] & (1u << (i % 8))));
}

static void options(const char *text)
{
	struct mount_options options = {0};
	struct err err = {0};

	if (mount_options_parse(text, &options, &err) < 0)
		demand(err.what[0]);
	mount_options_free(&options);
}

static void numbers(const char *text)
{
	uint64_t value, again;
	char shown[24];

	if (str_to_size(text, &value) == 0) {
		str_from_size(value, shown);
		demand(str_to_size(shown, &again) == 0 && again == value);
	}
	if (str_to_u64(text, 10, 1000, &value) == 0)
		demand(value >= 10 && value <= 1000);
	(void)str_to_duration(text, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int next = fuzz_next_fd();

	if (size == 0)
		return 0;
	char *text = fuzz_text(data + 1, size - 1);

	switch (data[0] % 8) {
	case 0:
		run_record(text);
		break;
	case 1:
		mount_table(text);
		break;
	case 2:
		network_file(text);
		break;
	case 3:
		image_file(text);
		break;
	case 4:
	case 5:
		id_table(text, data[0] % 2);
		break;
	case 6:
		options(text);
		break;
	case 7:
		numbers(text);
		break;
	}
	free(text);
	demand(fuzz_next_fd() == next);
	return 0;
}
