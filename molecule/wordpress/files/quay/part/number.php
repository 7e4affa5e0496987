<?php
return 17;
