/* Says what getopt_long(3) of this machine's C library makes of command lines.
 *
 * Input: commands, each its words ended by NUL bytes, the command by an empty record (a byte 1).
 * Usage: getopt_peer SHORT NAME:TAKES:MEANING... < commands
 * Output for each: a line an option ("L index value", "S letter value"), errors as getopt prints
 * them (to standard error, which is the same stream), "O word" for each other word, "." at the end.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	static struct option table[256];
	static char *words[256];
	static char text[1 << 20];
	int count = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 2; i < argc && count < 255; i++, count++) {
		char *takes = strchr(argv[i], ':');
		*takes++ = 0;
		table[count].name = argv[i];
		table[count].has_arg = *takes == '1' ? required_argument : no_argument;
		table[count].val = 1000 + atoi(takes + 2);
	}
	size_t length = fread(text, 1, sizeof(text) - 1, stdin);
	char *at = text, *end = text + length;
	while (at < end) {
		int found, index, number = 0;

		words[number++] = "vzctl";
		while (at < end && *at != 1) {
			words[number++] = at;
			at += strlen(at) + 1;
		}
		at++;
		words[number] = NULL;
		optind = 0; /* glibc: start anew */
		while (index = -1, (found = getopt_long(number, words, argv[1], table, &index)) != -1) {
			if (found == '?')
				continue;
			if (index >= 0)
				printf("L %d %s\n", index, optarg ? optarg : "(none)");
			else
				printf("S %c %s\n", found, optarg ? optarg : "(none)");
		}
		for (; optind < number; optind++)
			printf("O %s\n", words[optind]);
		printf(".\n");
	}
	return 0;
}
