# SPDX-License-Identifier: MIT
"""What a site can have that is not there yet: the languages, themes and plugins that the image of WordPress brings.

The lists are those of Debian's packages, and of WordPress's project for languages. A test compares the former with what
is in the image (molecule/wordpress/tests/test_wordpress.py). Of the latter one that is missing here is taken as soon as
its files lie on the site's volume.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.values import shown

_DEBIAN = """
    ar bg_BG bn_BD bs_BA ca ckb cs_CZ cy da_DK de_DE el en_CA eo es_CL es_ES es_PE et eu fa_IR fi fr_FR gd gl_ES
    he_IL hr hu_HU id_ID it_IT ja jv_ID ka_GE ko_KR lv mk_MK ms_MY my_MM nb_NO nl nl_NL pl_PL pt_BR pt_PT ro_RO
    ru_RU ru_UA si_LK sk_SK sl_SI sq sr_RS su_ID sv_SE sw ta_LK th tr_TR ug_CN uk ur vi zh_CN zh_HK zh_TW
"""
IN_IMAGE = frozenset(_DEBIAN.split())
"""Languages whose translations are in Debian's package ``wordpress-l10n``."""

_FURTHER = """
    af am arg arq art_xemoji art_xpirate ary as ast az az_TR azb ba bal bcc bel bgn bho bn_IN bo bre brx
    ca_valencia ceb co cor de_AT de_CH dsb dv dzo en_AU en_GB en_NZ en_US en_ZA es_AN es_AR es_CO es_CR es_DO
    es_EC es_GT es_HN es_MX es_PR es_UY es_VE ewe fa_AF fo fon fr_BE fr_CA frp fuc fur fy ga gax gu hat hau
    haw_US haz hi_IN hsb hy ibo ido is_IS kaa kab kal kin kir kk km kmr kn lb_LU li lij lin lmo lo lt_LT lug mai
    me_ME mfe mg_MG ml_IN mlt mn mr mri ne_NP nl_BE nn_NO nqo oci ory os pa_IN pa_PK pap_AW pap_CW pcd pcm ps
    pt_AO pt_PT_ao90 rhg roh sa_IN sah scn skr sna snd so_SO sq_XK srd ssw syr szl ta_IN tah te tg tir tl tt_RU
    tuk twd tzm uz_UZ vec wol xho yor zgh zh_SG zul
"""
LANGUAGES = IN_IMAGE | frozenset(_FURTHER.split())
"""Languages that WordPress is translated into. Some have a second form besides, see `FORMS`."""

FORMS = re.compile(r"_(formal|informal)$")
BUILT_IN = "en_US"
LATER = "leave it out at first, bring its files to the site, and declare it then"

THEMES = {"debian": re.compile(r"twentytwentyfive"), "release": re.compile(r"twenty[a-z]+")}
PLUGINS = {"debian": ("akismet",), "release": ("akismet", "hello")}
"""Themes and plugins that come with WordPress, by ``wordpress_source``."""


def language_problem(value: str, there: Iterable[str] = ()) -> str | None:
    """Return the rule that a site's language breaks.

    :param there: names of the translations' files on the site's volume: with them any language will do.
    """
    if FORMS.sub("", value) in LANGUAGES or f"{value}.mo" in there:
        return None
    names = {name.casefold(): name for name in sorted(LANGUAGES)}
    wanted = value.casefold()
    # de is meant as de_DE, pt as one of Portugal's.
    likely = [name for name in (wanted, f"{wanted}_{wanted}") if name in names]
    likely += sorted((name for name in names if name.startswith(f"{wanted}_")), key=lambda n: n != BUILT_IN.casefold())
    likely += difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    near = f", did you mean {names[likely[0]]}?" if likely else ": write one such as de_DE"
    return f"is no language of WordPress{near}"


def brought_problems(values: Mapping[str, Any], content: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Check that what sites use is there, or is brought: languages, themes and plugins.

    But for languages this is about new sites alone. One that is there may have them from elsewhere, and its own step
    says what is missing: a plugin that somebody has deleted on one site must not keep the others waiting.

    :param content: names of sites that have a volume to whether they are ``installed``, and the files of ``languages``.
    """
    source = "debian" if values.get("wordpress_source") == "debian" else "release"
    sites = values.get("wordpress_sites")
    problems: list[str] = []
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if not isinstance(site, Mapping):
            continue
        there = content.get(str(name)) or {}
        place = f"wordpress_sites.{name}"
        locale = site.get("locale")
        if isinstance(locale, str):
            wrong = language_problem(locale, there.get("languages") or ())
            if wrong:
                problems.append(f"{place}.locale: {shown(locale)}: {wrong}")
            elif not there.get("installed") and locale not in IN_IMAGE | {BUILT_IN}:
                problems.append(
                    f"{place}.locale: {shown(locale)}: its translations are not in the image, which has Debian's: "
                    f"{LATER}"
                )
        if there.get("installed"):
            continue
        theme, themes = site.get("theme") or values.get("wordpress_theme"), site.get("themes")
        brought = [t.get("slug") for t in themes if isinstance(t, Mapping)] if isinstance(themes, list | tuple) else []
        if isinstance(theme, str) and theme not in brought and not THEMES[source].fullmatch(theme):
            problems.append(
                f"{place}.theme: {shown(theme)}: neither in the image nor among the site's themes: declare it there; "
                f"or {LATER}"
            )
        plugins = site.get("plugins")
        problems += [
            f"{place}.plugins[{index}]: {shown(slug)}: not in the image: declare its version or its source; or {LATER}"
            for index, slug in enumerate(plugins if isinstance(plugins, list | tuple) else ())
            if isinstance(slug, str) and slug not in PLUGINS[source]
        ]
    return problems


class FilterModule:
    """Ansible's entry point: Ansible reads every file of this folder, and these rules are functions for others."""

    def filters(self) -> dict[str, Any]:
        """Name no filter."""
        return {}
