#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_is(void)
{
	return isatty(STDOUT_FILENO);
}

int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 100;
}

int terminal_lines(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

void terminal_style(const char *code)
{
	if (terminal_is())
		printf("\033[%sm", code);
}
