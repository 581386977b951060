// What scripts add to pages that work without them.
import "htmx.org";
import "htmx.org/dist/ext/hx-sse.js";
import { offerCopying } from "./copying";
import { openDialogs } from "./dialogs";
import { watchExecution } from "./execution";
import { watchKeys } from "./keys";
import { watchLive } from "./live";
import { closeMenus } from "./menus";
import { forgetNotice, watchPreferences } from "./preferences";
import { keepTimes } from "./times";

watchPreferences();
keepTimes();
offerCopying();
openDialogs();
closeMenus();
watchKeys();
watchLive();
forgetNotice();
watchExecution();
